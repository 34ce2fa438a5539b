import type { Request, Response } from 'express';
import type { ZodOpenApiOperationObject } from 'zod-openapi';
import type { ServiceError } from '../errors.ts';
import type { Locale } from '../locale.ts';

/** One address of the service: what it does, and what the OpenAPI document says of it. */
export interface Route {
  method: 'get' | 'post' | 'delete';
  /** As Express reads it, such as /v1/customers/:customerId/label. */
  path: string;
  operation: ZodOpenApiOperationObject;
  /** A JSON body of at most so many bytes is read into request.body; without it no body is read. */
  jsonBodyLimitBytes?: number;
  /** Answers also while the service starts and stops. */
  isAlwaysOn?: boolean;
  /** Errors in another shape than problem+json. */
  formatError?: (error: ServiceError, locale: Locale) => object;
  handle(request: Request, response: Response): void | Promise<void>;
}

import type { NextFunction, Request, Response } from 'express';
import { describeFault, errorTable, type ServiceError, toServiceError } from '../errors.ts';
import type { Locale } from '../locale.ts';
import type { Logger } from '../logger.ts';
import { contextOf } from './request-context.ts';
import type { Route } from './route.ts';

/** An error as RFC 9457 problem details, in the caller's language. */
export function toProblem(error: ServiceError, { requestId, locale }: { requestId: string; locale: Locale }) {
  const { status, title } = errorTable[error.code];
  return {
    type: `urn:customer-labels:error:${error.code}`,
    title: title[locale],
    status,
    code: error.code,
    requestId,
    ...(error.faults.length > 0 && { errors: error.faults.map((fault) => describeFault(fault, locale)) }),
  };
}

/** The one place where an error becomes a response. */
export function createErrorHandler({ logger }: { logger: Logger }) {
  return (thrown: unknown, _request: Request, response: Response, _next: NextFunction) => {
    const error = toServiceError(thrown);
    const context = contextOf(response);
    if (error.code === 'internal') logger.error({ requestId: context.requestId, err: error }, 'unexpected error');
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (error.retryAfterSeconds !== undefined) response.setHeader('Retry-After', error.retryAfterSeconds);
    // What is left of a body that is too large is not read
    if (error.code === 'body_too_large') response.setHeader('Connection', 'close');
    if (error.code === 'not_authenticated') response.setHeader('WWW-Authenticate', 'Bearer');
    const route = response.locals['route'] as Route | undefined;
    const body = route?.formatError?.(error, context.locale) ?? toProblem(error, context);
    const type = route?.formatError ? 'application/json' : 'application/problem+json';
    response.locals['errorCode'] = error.code;
    response
      .status(error.status)
      .set('Content-Type', type)
      .send(Buffer.from(JSON.stringify(body)));
  };
}

import * as z from 'zod';
import type { ZodOpenApiResponsesObject } from 'zod-openapi';
import { type ErrorCode, errorTable } from '../errors.ts';

/** One thing wrong with an input, as callers see it. */
export const faultSchema = z.object({ pointer: z.string(), code: z.string(), detail: z.string() });

/** RFC 9457 problem details, as every error of this service is written. */
export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.enum(Object.keys(errorTable) as [ErrorCode, ...ErrorCode[]]),
    requestId: z.string(),
    errors: z.array(faultSchema).optional(),
  })
  .meta({ id: 'Problem' });

/** What isPlainText asks, as the document's pattern: text that came as UTF-8 is well-formed already. */
export const plainTextPattern = String.raw`^[^\u0000-\u001f\u007f-\u009f]*$`;

/** The content of a JSON answer. */
export function json(schema: z.ZodType) {
  return { content: { 'application/json': { schema } } };
}

/** A JSON request body; no route takes a request without its body. */
export function body(schema: z.ZodType) {
  return { required: true, ...json(schema) };
}

export function answer(description: string, schema: z.ZodType) {
  return { description, ...json(schema) };
}

const headersOf: Record<number, z.ZodObject> = {
  401: z.object({ 'WWW-Authenticate': z.string() }),
  503: z.object({ 'Retry-After': z.string().meta({ description: 'In seconds.' }) }),
};

/** The documented errors of a route, from the error table. */
export function problems(...statuses: number[]): ZodOpenApiResponsesObject {
  return Object.fromEntries(
    statuses.map((status) => {
      const codes = Object.entries(errorTable).flatMap(([code, kind]) => (kind.status === status ? [code] : []));
      const content = { 'application/problem+json': { schema: problemSchema } };
      const headers = headersOf[status];
      return [String(status), { description: codes.join(', '), ...(headers && { headers }), content }];
    }),
  );
}

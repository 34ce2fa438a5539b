import type * as z from 'zod';
import { type InputFault, ServiceError } from '../errors.ts';

/** @throws ServiceError invalid_request naming each parameter that is not understood, repeated ones included. */
export function parseQuery<T extends z.ZodType>(schema: T, query: unknown): z.output<T> {
  const parsed = schema.safeParse({ ...(query as object) });
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.flatMap((issue): InputFault[] =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => ({ pointer: `#/query/${key}`, code: 'unknown_field' }))
      : [{ pointer: `#/query/${String(issue.path[0])}`, code: 'invalid_value', expected: allowedIn(issue) }],
  );
  throw new ServiceError('invalid_request', { faults });
}

function allowedIn(issue: z.core.$ZodIssue): string {
  return issue.code === 'invalid_value' ? issue.values.join(', ') : '/openapi.json';
}

import type * as z from 'zod';
import { ServiceError } from '../errors.ts';

/** Where a page ended, as one opaque word. */
export function writeCursor(place: Record<string, string | number | null>): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url');
}

/** @throws ServiceError invalid_request when the word is not one that writeCursor made. */
export function readCursor<T extends z.ZodType>(cursor: string | undefined, schema: T): z.output<T> | undefined {
  if (cursor === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
  } catch (cause) {
    const faults = [{ pointer: '#/query/cursor', code: 'invalid_value', expected: 'next' } as const];
    throw new ServiceError('invalid_request', { faults, cause });
  }
}

import { type DestinationStream, destination, type Logger, pino } from 'pino';
import { ServiceError } from './errors.ts';

export type { Logger };

/**
 * JSON lines on standard error. Nothing of a customer, no key and no body of a model server is ever passed in;
 * the redaction is the second wall.
 */
export function createLogger({
  level,
  stream = standardError(),
}: {
  level: string;
  stream?: DestinationStream;
}): Logger {
  return pino(
    {
      level,
      base: null,
      redact: { paths: secretFields, censor: '[redacted]' },
      serializers: { err: describeError },
    },
    stream,
  );
}

/** Lines go out together, a few times a second: a write for each would be the dearest part of a request. */
function standardError(): DestinationStream {
  return destination({ fd: 2, sync: false, minLength: 8_192, periodicFlush: 200 });
}

/** Objects are logged flat, and errors only through describeError. */
const secretFields = ['features', 'authorization', 'cookie', 'key', 'config', 'body', 'inputs', 'customerId'];

/** What may be known of an error in a log: its own name, code and place, not the data it carries. */
function describeError(error: unknown): Record<string, unknown> {
  if (!Error.isError(error)) return { name: typeof error };
  const known = error instanceof ServiceError;
  return {
    name: error.name,
    ...('code' in error && { code: error.code }),
    ...(known ? { message: error.message } : { stack: stackWithoutMessage(error) }),
    ...(error.cause !== undefined && { cause: describeError(error.cause) }),
  };
}

/** A library's message may quote data (PostgreSQL and zod do), so only the frames are kept. */
function stackWithoutMessage(error: Error): string {
  return (error.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, 8)
    .join('\n');
}

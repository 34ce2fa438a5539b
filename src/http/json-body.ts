import type { Request, RequestHandler } from 'express';
import { ServiceError } from '../errors.ts';
import { parseStrictJson, StrictJsonError } from './strict-json.ts';

/** Far more than any body of the interface has. */
const maxDepth = 8;
const jsonType = /^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Reads a JSON body in UTF-8 into request.body. @throws like readJson */
export function readJsonBody(limitBytes: number): RequestHandler {
  return async (request, _response, next) => {
    request.body = await readJson(request, limitBytes);
    next();
  };
}

/**
 * The value of a JSON body in UTF-8.
 * @throws ServiceError unsupported_media_type, body_too_large, malformed_json, duplicate_key
 */
export async function readJson(request: Request, limitBytes: number): Promise<unknown> {
  if ((request.headers['content-encoding'] ?? 'identity') !== 'identity')
    throw unsupported('Content-Encoding', 'identity');
  if (!jsonType.test(request.headers['content-type'] ?? ''))
    throw unsupported('Content-Type', 'application/json; charset=utf-8');
  const bytes = await readBytes(request, limitBytes);
  try {
    return parseStrictJson(utf8.decode(bytes), maxDepth);
  } catch (cause) {
    const isDuplicate = cause instanceof StrictJsonError && cause.fault === 'duplicate_key';
    throw new ServiceError(isDuplicate ? 'duplicate_key' : 'malformed_json', { cause });
  }
}

/** A body that says of itself, in this header, what is not taken. */
export function unsupported(header: string, expected: string) {
  return new ServiceError('unsupported_media_type', {
    faults: [{ pointer: `#/header/${header}`, code: 'invalid_value', expected }],
  });
}

/** The body's bytes. One that is too large is refused as soon as that is known: what is left of it is not waited for. */
async function readBytes(request: Request, limitBytes: number): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > limitBytes) throw new ServiceError('body_too_large');
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let length = 0;
  request.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length <= limitBytes) chunks.push(chunk);
    else {
      request.pause();
      reject(new ServiceError('body_too_large'));
    }
  });
  request.once('end', () => resolve(Buffer.concat(chunks)));
  request.once('error', (cause) => reject(new ServiceError('malformed_json', { cause })));
  return promise;
}

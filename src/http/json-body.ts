import type { Request, RequestHandler } from 'express';
import { ServiceError } from '../errors.ts';
import { parseStrictJson, StrictJsonError } from './strict-json.ts';

/** Far more than any body of the interface has. */
const maxDepth = 8;
const jsonType = /^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i;

/**
 * Reads a JSON body in UTF-8 into request.body.
 * @throws ServiceError unsupported_media_type, body_too_large, malformed_json, duplicate_key
 */
export function readJsonBody(limitBytes: number): RequestHandler[] {
  const utf8 = new TextDecoder('utf-8', { fatal: true });
  return [
    (request, _response, next) => {
      if ((request.headers['content-encoding'] ?? 'identity') !== 'identity')
        throw new ServiceError('unsupported_media_type');
      if (!jsonType.test(request.headers['content-type'] ?? '')) throw new ServiceError('unsupported_media_type');
      next();
    },
    async (request, _response, next) => {
      const bytes = await readBytes(request, limitBytes);
      try {
        request.body = parseStrictJson(utf8.decode(bytes), maxDepth);
      } catch (cause) {
        const isDuplicate = cause instanceof StrictJsonError && cause.fault === 'duplicate_key';
        throw new ServiceError(isDuplicate ? 'duplicate_key' : 'malformed_json', { cause });
      }
      next();
    },
  ];
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

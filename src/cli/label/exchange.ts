import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { pipeline } from 'node:stream/promises';

interface ExchangeOptions {
  method?: string;
  headers: Record<string, string>;
  body?: string | AsyncIterable<Uint8Array>;
  signal: AbortSignal;
}

/** Of a connection on which nothing comes or goes; an upload may pause for longer. */
const idleTimeoutMs = 120_000;

/**
 * One request, with a body as long as it likes: fetch gives up where the other side takes five minutes.
 * @throws what the body throws, else what node:http throws
 */
export function exchange(
  url: URL,
  { method = 'GET', headers, body, signal }: ExchangeOptions,
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const make = url.protocol === 'https:' ? requestHttps : requestHttp;
  const request = make(url, { method, headers, signal });
  request.on('response', resolve);
  request.on('error', reject);
  if (body === undefined || typeof body === 'string') {
    request.setTimeout(idleTimeoutMs, () => request.destroy(Object.assign(new Error('idle'), { code: 'ETIMEDOUT' })));
    request.end(body);
  } else {
    // What the service does not take any more is no fault when it has answered
    pipeline(body, request).catch(reject);
  }
  return promise;
}

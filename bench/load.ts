import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

export interface Load {
  url: string;
  /** The n-th request of the run; each is another customer. */
  request(n: number): { method: string; path: string; body?: string; headers?: Record<string, string> };
  callers: number;
  durationMs: number;
  ca?: string;
  /** False: a connection a call, as to a server that closes each one. */
  keepAlive: boolean;
}

export interface LoadResult {
  answered: number;
  failed: number;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
}

/**
 * Callers that ask one after the other, each for itself, for `durationMs`. A latency is from the start of the call, its
 * connecting and waiting included, to the last byte of the answer.
 */
export async function runLoad(load: Load): Promise<LoadResult> {
  const url = new URL(load.url);
  const isHttps = url.protocol === 'https:';
  const options = { keepAlive: load.keepAlive, maxSockets: load.callers };
  const agent = isHttps ? new HttpsAgent({ ...options, ...(load.ca && { ca: load.ca }) }) : new HttpAgent(options);
  const send = isHttps ? httpsRequest : httpRequest;
  const latenciesMs: number[] = [];
  let failed = 0;
  let n = 0;

  function call(): Promise<void> {
    const { method, path, body, headers } = load.request(n);
    n += 1;
    const startedAt = performance.now();
    return new Promise((resolve) => {
      const fail = () => {
        failed += 1;
        resolve();
      };
      const length = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) };
      const request = send(
        { host: url.hostname, port: url.port, method, path, agent, headers: { ...headers, ...length } },
        (response) => {
          response.resume();
          response.once('error', fail);
          response.once('end', () => {
            if (response.statusCode !== 200) return fail();
            latenciesMs.push(performance.now() - startedAt);
            resolve();
          });
        },
      );
      request.once('error', fail);
      request.end(body);
    });
  }

  const startedAt = performance.now();
  const endsAt = startedAt + load.durationMs;
  await Promise.all(
    Array.from({ length: load.callers }, async () => {
      while (performance.now() < endsAt) await call();
    }),
  );
  const seconds = (performance.now() - startedAt) / 1_000;
  agent.destroy();
  latenciesMs.sort((a, b) => a - b);
  const quantile = (q: number) =>
    latenciesMs[Math.min(latenciesMs.length - 1, Math.floor(latenciesMs.length * q))] ?? NaN;
  return {
    answered: latenciesMs.length,
    failed,
    perSecond: latenciesMs.length / seconds,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
  };
}

import { Pool } from 'undici';

export interface Load {
  url: string;
  /** The n-th request of the run; each is another customer. */
  request(n: number): { method: 'GET' | 'POST'; path: string; body?: string; headers?: Record<string, string> };
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
  const pool = new Pool(load.url, {
    connections: load.callers,
    pipelining: 1,
    ...(load.ca && { connect: { ca: load.ca } }),
  });
  const latenciesMs: number[] = [];
  let failed = 0;
  let n = 0;

  async function call(): Promise<void> {
    const request = load.request(n);
    n += 1;
    const startedAt = performance.now();
    try {
      const response = await pool.request({ ...request, reset: !load.keepAlive });
      await response.body.dump();
      if (response.statusCode === 200) latenciesMs.push(performance.now() - startedAt);
      else failed += 1;
    } catch {
      failed += 1;
    }
  }

  const startedAt = performance.now();
  const endsAt = startedAt + load.durationMs;
  await Promise.all(
    Array.from({ length: load.callers }, async () => {
      while (performance.now() < endsAt) await call();
    }),
  );
  const seconds = (performance.now() - startedAt) / 1_000;
  await pool.destroy();
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

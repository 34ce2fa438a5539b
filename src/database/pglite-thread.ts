import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { PGliteDialectConfig } from 'kysely';
import { lockFolder } from './folder-lock.ts';
import type { PGliteReply, PGliteRequest } from './pglite-worker.ts';

/** The part of PGlite that kysely speaks to. */
type PGliteLike = Exclude<PGliteDialectConfig['pglite'], (...args: never[]) => unknown>;

export type PGliteThread = PGliteLike & {
  /** Several statements without parameters, with nothing of others in between; the rows of all of them. */
  exec(sql: string): Promise<{ rows: unknown[] }>;
};

/**
 * PGlite in a worker thread: a query computes for milliseconds, and on the main thread would hold every request.
 * One connection: a transaction keeps the others waiting until it ends.
 * @param dataDir a folder, made when missing and locked while open, or `memory://`.
 * @throws FolderInUseError
 */
export async function openPGliteThread(dataDir: string): Promise<PGliteThread> {
  const unlock = dataDir === 'memory://' ? () => {} : lockFolder(dataDir);
  const worker = new Worker(new URL('./pglite-worker.ts', import.meta.url), {
    workerData: dataDir,
    resourceLimits: { maxYoungGenerationSizeMb: 8 },
  });
  const waiting = new Map<number, { resolve(value: never): void; reject(error: unknown): void }>();
  let lastId = 0;
  let turn: Promise<unknown> = Promise.resolve();

  try {
    await once(worker, 'message');
  } catch (error) {
    unlock();
    throw error;
  }
  worker.on('message', ({ id, result, error }: PGliteReply) => {
    const { resolve, reject } = waiting.get(id) ?? {};
    waiting.delete(id);
    if (error) reject?.(Object.assign(new Error(error.message), { code: error.code }));
    else resolve?.(result as never);
  });
  worker.on('exit', () => {
    pglite.closed = true;
    for (const { reject } of waiting.values()) reject(closedError());
    unlock();
  });

  function ask<T>(request: Omit<PGliteRequest, 'id'>): Promise<T> {
    if (pglite.closed) return Promise.reject(closedError());
    lastId += 1;
    const id = lastId;
    return new Promise<T>((resolve, reject) => {
      waiting.set(id, { resolve, reject });
      worker.postMessage({ id, ...request });
    });
  }

  function exclusively<T>(work: () => Promise<T>): Promise<T> {
    const mine = turn.then(work);
    turn = mine.catch(() => {});
    return mine;
  }

  const run = <T>(sql: string, parameters: unknown[] = []) => ask<T>({ sql, parameters });

  const pglite: PGliteThread = {
    closed: false,
    ready: true,
    waitReady: Promise.resolve(),
    query: (sql, parameters) => exclusively(() => run(sql, parameters)),
    exec: (sql) => exclusively(() => ask({ sql, parameters: null })),
    transaction: (work) =>
      exclusively(async () => {
        await run('BEGIN');
        try {
          const result = await work({ query: run, rollback: async () => void (await run('ROLLBACK')) });
          await run('COMMIT');
          return result;
        } catch (error) {
          await run('ROLLBACK');
          throw error;
        }
      }),
    async close() {
      if (pglite.closed) return;
      await exclusively(() => ask({ sql: null, parameters: [] }));
      if (!pglite.closed) await once(worker, 'exit');
    },
  };
  return pglite;
}

function closedError() {
  return Object.assign(new Error('the database is closed'), { code: 'DATABASE_CLOSED' });
}

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';
import { dataDir } from '@electric-sql/pglite-prepopulatedfs';

export interface PGliteRequest {
  id: number;
  /** null closes the database and ends the thread. */
  sql: string | null;
  parameters: unknown[];
}

export interface PGliteReply {
  id: number;
  result?: unknown;
  error?: { message: string; code: string | undefined };
}

const folder = workerData as string;
const isFresh = !existsSync(join(folder, 'PG_VERSION'));
// An empty database is unpacked in half the time that making one takes.
const pglite = await PGlite.create(folder, isFresh ? { loadDataDir: await dataDir() } : {});

parentPort?.on('message', ({ id, sql, parameters }: PGliteRequest) => {
  if (sql === null) {
    void pglite.close().then(() => {
      parentPort?.postMessage({ id } satisfies PGliteReply);
      parentPort?.close();
    });
    return;
  }
  pglite.query(sql, parameters).then(
    ({ rows, affectedRows, fields }) => parentPort?.postMessage({ id, result: { rows, affectedRows, fields } }),
    (error: Error & { code?: string }) =>
      parentPort?.postMessage({ id, error: { message: error.message, code: error.code } } satisfies PGliteReply),
  );
});

parentPort?.postMessage('ready');

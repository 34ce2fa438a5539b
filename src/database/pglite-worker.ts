import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';
import { dataDir } from '@electric-sql/pglite-prepopulatedfs';

export interface PGliteRequest {
  id: number;
  /** null closes the database and ends the thread. */
  sql: string | null;
  /** null: several statements may stand in `sql`, and the rows of all are given back. */
  parameters: unknown[] | null;
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
  run(sql, parameters).then(
    (result) => parentPort?.postMessage({ id, result } satisfies PGliteReply),
    (error: Error & { code?: string }) =>
      parentPort?.postMessage({ id, error: { message: error.message, code: error.code } } satisfies PGliteReply),
  );
});

/** The type of a list of numbers; they come written already, as the text or the bytes of an array. */
const float8ArrayOid = 1022;
const serializers = { [float8ArrayOid]: (written: string | Uint8Array) => written as string };

async function run(sql: string, parameters: unknown[] | null) {
  if (parameters !== null) {
    const { rows, affectedRows, fields } = await pglite.query(sql, parameters, { serializers });
    return { rows, affectedRows, fields };
  }
  try {
    return { rows: (await pglite.exec(sql)).flatMap(({ rows }) => rows) };
  } catch (error) {
    // There is one connection: a transaction that these statements began must not be left to the next ones
    await pglite.exec('ROLLBACK');
    throw error;
  }
}

parentPort?.postMessage('ready');

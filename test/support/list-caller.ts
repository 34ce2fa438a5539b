import { setTimeout as sleep } from 'node:timers/promises';
import { endStates } from '../../src/batches/batch.ts';
import { createDatabase } from '../../src/database/database.ts';
import { createLogger } from '../../src/logger.ts';

/** Of one instance: MODEL_SERVER_CONCURRENCY's default, and those that are read or stored beside them. */
export const chunksInHand = 6;

export interface Progress {
  id: string;
  state: (typeof endStates)[number] | 'receiving' | 'pending' | 'running' | 'waiting';
  reason: string | null;
  rows: { total: number; labelled: number; rejected: number };
}

export const rowsDone = ({ rows }: Progress) => rows.labelled + rows.rejected;
export const hasEnded = ({ state }: Progress) => (endStates as readonly string[]).includes(state);

/** Sends a list as CSV. @throws when it is not taken */
export async function sendList(url: string, csv: Buffer, key: string): Promise<Progress> {
  const headers = { 'Content-Type': 'text/csv', 'Idempotency-Key': key };
  const response = await fetch(`${url}/v1/batches`, { method: 'POST', headers, body: new Uint8Array(csv) });
  if (response.status !== 202) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()) as Progress;
}

export async function readProgress(url: string, id: string): Promise<Progress> {
  const response = await fetch(`${url}/v1/batches/${id}`);
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()) as Progress;
}

/** Waits until a list's progress is so; how long at most is the test's own time limit. */
export async function untilList(url: string, id: string, is: (progress: Progress) => boolean): Promise<Progress> {
  for (;;) {
    const progress = await readProgress(url, id);
    if (is(progress)) return progress;
    await sleep(20);
  }
}

export async function readResults(url: string, id: string): Promise<string> {
  const response = await fetch(`${url}/v1/batches/${id}/results`);
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  return response.text();
}

/** Asks the database of a service; one on PGlite must have ended before. */
export async function askDatabase<Row>(environment: Record<string, string>, question: string): Promise<Row[]> {
  const { DATABASE_URL: url = null, DATA_DIR: dataDir = '' } = environment;
  const database = createDatabase({ settings: { url, dataDir }, logger: createLogger({ level: 'silent' }) });
  try {
    // What it never asked itself, it would not close
    await database.ping();
    return (await database.run(question)).rows as Row[];
  } finally {
    await database.close();
  }
}

export interface Kept {
  batches: number;
  chunks: number;
  done: number;
  current: number;
  history: number;
  /** Attempts at a chunk beyond its first. */
  repeats: number;
  /** Chunks' jobs that are neither waiting for their turn nor done. */
  active: number;
}

/** What a service's database holds, counted row by row. */
export async function countKept(environment: Record<string, string>): Promise<Kept> {
  const [kept] = await askDatabase<Kept>(
    environment,
    `SELECT (SELECT count(*) FROM batches)::int AS batches,
      (SELECT count(*) FROM batch_chunks)::int AS chunks,
      (SELECT count(*) FROM batch_chunks WHERE done_at IS NOT NULL)::int AS done,
      (SELECT count(*) FROM current_labels)::int AS current,
      (SELECT count(*) FROM label_history)::int AS history,
      (SELECT coalesce(sum(retry_count), 0) FROM customer_labels_jobs.job WHERE name = 'label-chunk')::int AS repeats,
      (SELECT count(*) FROM customer_labels_jobs.job WHERE name = 'label-chunk' AND state = 'active')::int AS active`,
  );
  return kept as Kept;
}

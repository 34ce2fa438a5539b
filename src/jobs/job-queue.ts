import { createHash } from 'node:crypto';
import { type Job, PgBoss } from 'pg-boss';
import type { Database } from '../database/database.ts';
import { createFaultLog } from '../fault-log.ts';
import type { Logger } from '../logger.ts';

/** Thrown by work that ends early: the job is there for others, at once or later, and has used up none of its attempts. */
export class GivenBack extends Error {
  override name = 'GivenBack';
  readonly afterMs: number;

  constructor(afterMs = 0) {
    super('given back');
    this.afterMs = afterMs;
  }
}

/** A chunk of a list that wants to be labelled. */
export interface ChunkJob {
  batchId: string;
  number: number;
  /** Of its list, once more each time that the list goes on after its chunks had left the queue. */
  round: number;
}

export interface JobQueue {
  /** Makes the queue's own tables, and works from now on. @throws when the database is away */
  start(workers: ChunkWorkers): Promise<void>;
  /** Queues chunks, in their order; one that was queued before stays as it is. */
  send(jobs: readonly ChunkJob[]): Promise<void>;
  /** Of these lists, those that have a chunk in the queue or in hand. */
  queued(batchIds: readonly string[]): Promise<Set<string>>;
  /** Takes no job any more, and gives back those in hand that do not end in time. */
  stop(): Promise<void>;
}

export interface ChunkWorkers {
  /** At once, of this instance. */
  concurrency: number;
  /** Done when it resolves. A throw but GivenBack is tried again; what is known to pass is waited for inside. */
  work(job: ChunkJob, signal: AbortSignal): Promise<void>;
  /** A job that ended its worker again and again: it is given up. */
  giveUp(job: ChunkJob): Promise<void>;
}

const schema = 'customer_labels_jobs';
const chunks = 'label-chunk';
const givenUp = 'label-chunk-given-up';
/**
 * A worker that says nothing for so long is taken for dead; pg-boss knows no less. Not on PGlite: its one process cannot
 * outlive itself, and a heartbeat there waits its turn behind the very labels that are being stored.
 */
const heartbeatSeconds = 10;
/** Every way for an attempt to end early is counted, a crash of the whole instance too, so there are many. */
const retryLimit = 15;
const endless = 1_000_000;
/** Begun again so often, a job may be what ends its worker: no other such one is in hand beside it, to be ended with it. */
const suspectAfter = 2;
const isSuspect = ({ retryCount }: { retryCount: number }) => retryCount >= suspectAfter;
const heartbeatRefreshSeconds = 2;
const superviseIntervalSeconds = 2;
const pollingIntervalSeconds = 1;
const dayS = 86_400;
/** What is in hand may end within this time; then it is given back. */
const finishTimeoutMs = 10_000;
const stopTimeoutMs = 15_000;

/** pg-boss in the service's own database, so that any instance on it takes the next chunk. */
export function createJobQueue({ database, logger }: { database: Database; logger: Logger }): JobQueue {
  const faults = createFaultLog({ logger, begins: 'job queue', ends: 'the job queue works again' });
  const boss = new PgBoss({
    db: {
      async executeSql(text, values) {
        const { rows } = await database.run(text, values);
        faults.worked();
        return { rows };
      },
    },
    schema,
    ...(database.kind === 'pglite' && { backend: 'pglite' as const }),
    superviseIntervalSeconds,
    monitorIntervalSeconds: superviseIntervalSeconds,
    schedule: false,
    reindex: false,
    monitorVacuum: false,
  });
  boss.on('error', faults.failed);
  const stopping = new AbortController();
  const workers: string[] = [];
  const inHand = new Set<Job<ChunkJob>>();

  /** pg-boss's own ways to end an attempt all count it. Without the start, the next one is the same attempt again. */
  async function giveBack({ id, retryCount }: Job<ChunkJob>, afterMs = 0) {
    await database.run(
      `UPDATE ${schema}.job SET state = 'created', started_on = NULL, heartbeat_on = NULL,
          start_after = now() + $4::float8 * interval '1 millisecond'
        WHERE name = $1 AND id = $2::uuid AND state = 'active' AND retry_count = $3::int`,
      [chunks, id, retryCount, afterMs],
    );
  }

  /** @returns whether it was this job's turn */
  async function attempt(job: Job<ChunkJob>, work: ChunkWorkers['work']): Promise<boolean> {
    if (isSuspect(job) && [...inHand].some(isSuspect)) {
      await giveBack(job);
      return false;
    }
    inHand.add(job);
    try {
      await work(job.data, AbortSignal.any([job.signal, stopping.signal]));
    } catch (error) {
      if (!(error instanceof GivenBack)) throw error;
      await giveBack(job, error.afterMs);
    } finally {
      inHand.delete(job);
    }
    return true;
  }

  /** PGlite has one process: what is active before it works was in hand when the one before was killed. */
  async function takeOver() {
    if (database.kind !== 'pglite') return;
    for (const queue of [chunks, givenUp]) {
      const { rows } = await database.run(`SELECT id FROM ${schema}.job WHERE name = $1 AND state = 'active'`, [queue]);
      const ids = (rows as { id: string }[]).map(({ id }) => id);
      if (ids.length > 0) await boss.fail(queue, ids, { message: 'the process ended' });
    }
  }

  return {
    async start({ concurrency, work, giveUp }) {
      await boss.start();
      const keep = { retentionSeconds: 365 * dayS, deleteAfterSeconds: dayS, expireInSeconds: dayS - 1 };
      const live = { ...keep, ...(database.kind !== 'pglite' && { heartbeatSeconds }), retryDelay: 1 };
      await boss.createQueue(givenUp, { ...live, retryLimit: endless });
      await boss.createQueue(chunks, { ...live, retryLimit, deadLetter: givenUp });
      await takeOver();
      const looking = { pollingIntervalSeconds, heartbeatRefreshSeconds };
      for (let i = 0; i < concurrency; i += 1) {
        const worker: string = await boss.work<ChunkJob>(chunks, looking, async ([job]) => {
          // The next one at once: it would wait for its turn to look
          if (job && (await attempt(job, work))) boss.notifyWorker(worker);
        });
        workers.push(worker);
      }
      await boss.work<ChunkJob>(givenUp, looking, async ([job]) => {
        if (job) await giveUp(job.data);
      });
    },
    async send(jobs) {
      await boss.insert(
        chunks,
        jobs.map((data) => ({ id: idOf(data), data })),
      );
      for (const worker of workers) boss.notifyWorker(worker);
    },
    async queued(batchIds) {
      if (batchIds.length === 0) return new Set();
      const { rows } = await database.run(
        `SELECT DISTINCT data->>'batchId' AS id FROM ${schema}.job WHERE name = ANY($1::text[])
          AND state IN ('created', 'retry', 'active') AND data->>'batchId' = ANY($2::text[])`,
        [[chunks, givenUp], batchIds],
      );
      return new Set((rows as { id: string }[]).map(({ id }) => id));
    },
    async stop() {
      stopping.abort();
      const late = setTimeout(() => {
        for (const job of inHand) giveBack(job).catch((error: unknown) => logger.warn({ err: error }, 'job queue'));
      }, finishTimeoutMs);
      await boss.stop({ graceful: true, timeout: stopTimeoutMs, close: false });
      clearTimeout(late);
    },
  };
}

/** The same chunk has the same job, so that it is never queued twice in one round. */
function idOf({ batchId, number, round }: ChunkJob): string {
  const hex = createHash('sha256').update(`${batchId} ${number} ${round}`).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}

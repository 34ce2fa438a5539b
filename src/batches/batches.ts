import type { Contract } from '../contract/contract.ts';
import type { Database } from '../database/database.ts';
import { createFaultLog } from '../fault-log.ts';
import type { Route } from '../http/route.ts';
import { type ChunkJob, createJobQueue } from '../jobs/job-queue.ts';
import type { Labelling } from '../labels/labelling.ts';
import type { ListLabels } from '../labels/list-labels.ts';
import type { Logger } from '../logger.ts';
import type { ModelCopies } from '../model-copy/model-copies.ts';
import type { ModelGuard } from '../model-guard/model-guard.ts';
import { createBatchRoutes } from './batch-routes.ts';
import { type BatchStore, createBatchStore } from './batch-store.ts';
import { createChunkStore } from './chunk-store.ts';
import { createEndList } from './end-list.ts';
import { planFor } from './list-plan.ts';
import { createListThread } from './list-thread.ts';
import { createReadChunk } from './read-chunk.ts';
import { createReceiveList, uploadSilenceMs } from './receive-list.ts';
import { createRunChunk } from './run-chunk.ts';
import { createScoreChunk, type ScoreChunkOptions } from './score-chunk.ts';
import { createSendListRoutes } from './send-list-routes.ts';
import { createStreamResults } from './stream-results.ts';

interface BatchesOptions extends ScoreChunkOptions {
  database: Database;
  logger: Logger;
  guard: Pick<ModelGuard, 'expected' | 'score' | 'prove'>;
  copies: ModelCopies;
  isProved(): boolean;
  listLabels: ListLabels;
  source: Labelling['source'];
  onRows(rows: { labelled: number; rejected: number }): void;
  limits: { maxRows: number; retentionMs: number };
  onDisagreement(labels: number): void;
  onLabelled(label: Pick<Labelling, 'label' | 'source' | 'modelVersion'>, customers: number): void;
}

export interface Batches {
  routes: Route[];
  /** How many lists have not ended, by state. @throws when the database is away */
  countOpen: BatchStore['countOpen'];
  /** Works on lists from now on; the database must be up to date. */
  start(): Promise<void>;
  /** Ends or gives back the chunks in hand and takes none any more; requests are still answered. */
  stopWork(): Promise<void>;
  close(): Promise<void>;
}

/** Chunks that are read or stored while others are with the model server. Measured: with one, a fifth of two cores is idle. */
const chunksBeside = 4;
const sweepEveryMs = 30_000;
const resumeEveryMs = 2_000;
/** What was being stored when a list was cancelled is stored, or not, by then. */
const settledMs = 15_000;
/** Somebody waits for it. */
const proofTimeoutMs = 1_000;

/** Customer lists, put together from their parts. */
export function createBatches(options: BatchesOptions): Batches {
  const { database, logger, guard, listLabels, limits } = options;
  const batches = createBatchStore(database.queries);
  const chunks = createChunkStore(database.queries);
  const jobs = createJobQueue({ database, logger });
  const thread = createListThread();
  const contract = (): Contract => guard.expected();
  const endList = createEndList({ batches, chunks, thread, logger });
  const lists = createReceiveList({
    batches,
    chunks,
    endList,
    jobs,
    thread,
    listLabels,
    contract,
    prove: async () => {
      if (!options.isProved()) await guard.prove({ timeoutMs: proofTimeoutMs });
    },
    maxRows: limits.maxRows,
  });
  const runChunk = createRunChunk({
    ...options,
    chunks,
    thread,
    endList,
    readChunk: createReadChunk({ thread, listLabels }),
    scoreChunk: createScoreChunk(options),
  });
  const timers: NodeJS.Timeout[] = [];
  const stopping = new AbortController();

  async function sweep() {
    const now = Date.now();
    const silentSince = new Date(now - uploadSilenceMs);
    await batches.sweep({ touchedBefore: silentSince, endedBefore: new Date(now - limits.retentionMs) });
    // An instance that ended between keeping a list and queueing it; chunks that are queued already stay as they are
    for (const id of await batches.unstarted(new Date(now))) await jobs.send(await chunks.unfinished(id));
    for (const id of await batches.withoutTotals(new Date(now - settledMs))) await batches.keepTotals(id);
    await revive();
  }

  /** Lists that are worked on, and have none of their chunks in the queue. */
  async function revive() {
    const underWay = await batches.underWay();
    const queued = await jobs.queued(underWay.map(({ id }) => id));
    for (const list of underWay.filter(({ id }) => !queued.has(id))) {
      if (!(await batches.beginRound(list))) continue;
      logger.info({ batchId: list.id }, 'the chunks of a list are queued anew');
      await jobs.send(await chunks.unfinished(list.id));
      await endList(list.id);
    }
  }

  /** Lists whose chunks left the queue because no contract fitted them. */
  async function resume() {
    const parked = await batches.parked();
    // Without customers nobody would notice that the version which fits is back
    if (parked.some(({ plan }) => !planFor(plan, contract())) && options.isProved())
      await guard.prove().catch(() => {});
    for (const { id, plan } of parked)
      if (planFor(plan, contract()) && (await batches.resume(id))) {
        logger.info({ batchId: id, reason: null }, 'a list goes on');
        await jobs.send(await chunks.unfinished(id));
      }
  }

  const tidying = createFaultLog({ logger, begins: 'lists are not tidied', ends: 'lists are tidied again' });

  function every(ms: number, work: () => Promise<void>) {
    const tidy = () => void work().then(tidying.worked, tidying.failed);
    tidy();
    timers.push(setInterval(tidy, ms).unref());
  }

  async function giveUp(job: ChunkJob) {
    await chunks.giveUp(job);
    logger.error({ batchId: job.batchId, chunk: job.number }, 'a chunk of a list was given up');
    await endList(job.batchId);
  }

  const streamResults = createStreamResults({ chunks, thread, contract });
  return {
    routes: [
      ...createSendListRoutes({ lists }),
      ...createBatchRoutes({ batches, streamResults, stopping: stopping.signal }),
    ],
    countOpen: batches.countOpen,
    async start() {
      // PGlite has one process: whoever sent to the one before was cut off with it
      if (database.kind === 'pglite') await batches.sweep({ touchedBefore: new Date(), endedBefore: new Date(0) });
      await jobs.start({ concurrency: options.concurrency + chunksBeside, work: runChunk, giveUp });
      every(sweepEveryMs, sweep);
      every(resumeEveryMs, resume);
    },
    async stopWork() {
      stopping.abort();
      for (const timer of timers) clearInterval(timer);
      await jobs.stop();
    },
    async close() {
      await this.stopWork();
      await thread.close();
    },
  };
}

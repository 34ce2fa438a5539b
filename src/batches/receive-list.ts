import { createHash, randomUUID } from 'node:crypto';
import type { Contract } from '../contract/contract.ts';
import { ServiceError } from '../errors.ts';
import type { JobQueue } from '../jobs/job-queue.ts';
import type { ListLabels } from '../labels/list-labels.ts';
import type { describeList } from '../list-files/list-report.ts';
import type { Locale } from '../locale.ts';
import type { Batch } from './batch.ts';
import type { BatchStore, KnownBatch } from './batch-store.ts';
import type { ChunkStore } from './chunk-store.ts';
import { dryRun } from './dry-run.ts';
import type { EndList } from './end-list.ts';
import { type ListPlan, namesOf } from './list-plan.ts';
import type { ListThread, PackedPiece } from './list-thread.ts';
import { hashUpload, type ReadUpload, readUpload, type Upload } from './read-upload.ts';
import { packIds } from './stored-rows.ts';

export interface ReceiveList {
  /**
   * Keeps a list and has it labelled. The same list with the same key is the one that is there already.
   * @throws ServiceError idempotency_in_progress, idempotency_conflict, invalid_list, too_many_customers; then nothing is kept
   */
  receive(upload: Upload, key: string): Promise<Batch>;
  /**
   * Has every customer labelled again whose label is stale, from the stored features.
   * @throws ServiceError like receive(), and what prove() throws: without a proof nobody knows which labels are superseded
   */
  relabelStale(key: string): Promise<Batch>;
  /** What would become of a list; nothing is kept. @throws ServiceError like receive() */
  dryRun(upload: Upload, caller: { locale: Locale; left: AbortSignal }): Promise<ReturnType<typeof describeList>>;
}

interface ReceiveListOptions {
  batches: BatchStore;
  chunks: Pick<ChunkStore, 'unfinished'>;
  endList: EndList;
  jobs: Pick<JobQueue, 'send'>;
  thread: ListThread;
  listLabels: Pick<ListLabels, 'staleIds'>;
  contract(): Contract;
  /** Makes sure which version of the model answers. @throws ServiceError model_unavailable, model_untrusted, model_bad_answer */
  prove(): Promise<void>;
  maxRows: number;
}

const storedRows = 4_096;
const touchEveryMs = 10_000;
/** An upload that has sent nothing for so long will not go on: whoever sent it may send it again. */
export const uploadSilenceMs = 45_000;
/** All lists of stored customers are the same request. */
const storedHash = createHash('sha256').update('stored').digest();

/** Takes customer lists in. Work on one begins when all of it is there. */
export function createReceiveList(options: ReceiveListOptions): ReceiveList {
  const { batches, chunks, endList, jobs, thread, listLabels, contract, prove, maxRows } = options;

  function begin(id: string, key: string) {
    const now = new Date();
    return batches.create({ id, key, now, silentSince: new Date(now.getTime() - uploadSilenceMs) });
  }

  async function sameAs(known: KnownBatch, hashOf: () => Promise<Buffer>): Promise<Batch> {
    if (known.state === 'receiving') throw new ServiceError('idempotency_in_progress');
    const hash = await hashOf();
    if (known.hash === null || !hash.equals(known.hash)) throw new ServiceError('idempotency_conflict');
    return (await batches.find(known.id)) as Batch;
  }

  /** Keeps a new list, all of it or nothing, and has it worked on. */
  async function keepNew(id: string, keepAll: () => Promise<ReadUpload>): Promise<Batch> {
    const touching = setInterval(() => void batches.touch(id).catch(() => {}), touchEveryMs);
    try {
      await batches.complete(id, await keepAll());
    } catch (error) {
      // Where that cannot be done now, it is swept away later
      await batches.remove(id).catch(() => {});
      throw error;
    } finally {
      clearInterval(touching);
    }
    await jobs.send(await chunks.unfinished(id));
    await endList(id);
    return (await batches.find(id)) as Batch;
  }

  /** Chunks of customers' ids; what is stored of each is read when it is labelled. */
  async function keepStale(id: string): Promise<ReadUpload> {
    await prove();
    let rows = 0;
    let after: string | undefined;
    for (let number = 0; number === 0 || after !== undefined; number += 1) {
      const page = await listLabels.staleIds({ limit: storedRows, after });
      if (page.count > 0) {
        const body = await packIds(page.json);
        await batches.addChunk(id, number, { body, firstLine: rows + 1, firstRow: rows, lines: 0, rows: page.count });
      }
      rows += page.count;
      after = page.count === storedRows ? (page.last ?? undefined) : undefined;
    }
    const plan: ListPlan = { kind: 'stored', featureNames: namesOf(contract()) };
    return { plan, report: { decision: null, mapping: null }, hash: storedHash, rows };
  }

  return {
    async receive(upload, key) {
      const id = randomUUID();
      const known = await begin(id, key);
      if (known) return sameAs(known, () => hashUpload(upload));
      const keep = (piece: PackedPiece, number: number) => batches.addChunk(id, number, piece);
      return keepNew(id, () => readUpload(upload, { thread, contract: contract(), maxRows, keep }));
    },

    async relabelStale(key) {
      const id = randomUUID();
      const known = await begin(id, key);
      return known ? sameAs(known, async () => storedHash) : keepNew(id, () => keepStale(id));
    },

    dryRun: (upload, { locale, left }) => dryRun(upload, { thread, contract: contract(), maxRows, locale, left }),
  };
}

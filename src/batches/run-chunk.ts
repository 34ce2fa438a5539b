import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Contract } from '../contract/contract.ts';
import { ServiceError, toServiceError } from '../errors.ts';
import { type ChunkJob, GivenBack } from '../jobs/job-queue.ts';
import type { Labelling } from '../labels/labelling.ts';
import type { ListLabels } from '../labels/list-labels.ts';
import type { Logger } from '../logger.ts';
import type { ModelCopies } from '../model-copy/model-copies.ts';
import type { ModelGuard } from '../model-guard/model-guard.ts';
import { type WaitReason, waitReasons } from './batch.ts';
import type { ChunkStore, DoneChunk, TakenChunk } from './chunk-store.ts';
import type { EndList } from './end-list.ts';
import { planFor } from './list-plan.ts';
import type { ListThread } from './list-thread.ts';
import type { ReadChunk } from './read-chunk.ts';
import type { ChunkVersion } from './prepare-labels.ts';
import type { ScoreChunk } from './score-chunk.ts';
import { createSetbacks } from './setbacks.ts';

interface RunChunkOptions {
  chunks: Pick<ChunkStore, 'take' | 'claimDone' | 'setWaiting'>;
  endList: EndList;
  logger: Logger;
  readChunk: ReadChunk;
  scoreChunk: ScoreChunk;
  thread: Pick<ListThread, 'do'>;
  listLabels: Pick<ListLabels, 'keepIf' | 'contractIds'>;
  guard: Pick<ModelGuard, 'expected'>;
  /** Whether the model server answers as it should, as far as is known. */
  isProved(): boolean;
  source: Labelling['source'];
  onRows(rows: Pick<DoneChunk, 'labelled' | 'rejected'>): void;
  copies: ModelCopies;
  onDisagreement(labels: number): void;
  onLabelled(label: Pick<Labelling, 'label' | 'source' | 'modelVersion'>, customers: number): void;
}

const patienceMs = 1_000;

/**
 * Labels one chunk: reads it, scores it outside of any transaction, and stores labels and result in one statement, if
 * this attempt still holds the chunk. What passes by itself (the model server or the database away) is waited for here,
 * so that it costs the chunk none of its attempts. A fault that comes back though the model is proved is the list's own:
 * its chunks go back to the queue for a while. A list that the contract does not fit leaves the queue to others: it goes
 * on when a contract fits.
 */
export function createRunChunk(options: RunChunkOptions) {
  const { chunks, endList, logger, onRows, readChunk, scoreChunk, thread, listLabels, guard, isProved, source } =
    options;
  const { copies, onDisagreement, onLabelled } = options;
  const setbacks = createSetbacks();

  return async (job: ChunkJob, signal: AbortSignal): Promise<void> => {
    const attempt = randomUUID();
    if (setbacks.remainingMs(job.batchId) > 0) throw new GivenBack(setbacks.remainingMs(job.batchId));
    for (let hasWaited = false; ;) {
      try {
        const taken = await chunks.take(job, attempt);
        if (!taken) {
          setbacks.clear(job.batchId);
          // Perhaps it was the last one, and its worker ended before it could say so
          return await endList(job.batchId);
        }
        const contract = guard.expected();
        const plan = planFor(taken.plan, contract);
        if (!plan) {
          await setWaiting(job.batchId, 'contract_changed');
          return;
        }
        const { token, features } = await readChunk({ ...taken, plan }, contract);
        try {
          const scored = await scoreChunk(features, contract);
          setbacks.clear(job.batchId);
          if (taken.isWaiting) await setWaiting(job.batchId, null);
          await finish(job, attempt, { token, readBy: contract, ...taken }, scored);
        } finally {
          await thread.do('forget', token);
        }
        return;
      } catch (error) {
        const reason = reasonOf(error);
        if (reason === undefined) throw error;
        if (reason !== 'database') {
          if (!(await setWaiting(job.batchId, reason).catch(() => true))) return;
          if (hasWaited || setbacks.has(job.batchId)) throw new GivenBack(setbacks.add(job.batchId));
          hasWaited = true;
        }
        await pause(signal, reason);
      }
    }
  };

  /** @returns whether the list still goes on. */
  async function setWaiting(batchId: string, reason: WaitReason | null): Promise<boolean> {
    const { isActive, isNew } = await chunks.setWaiting(batchId, reason);
    if (isNew) logger.info({ batchId, reason }, reason === null ? 'a list goes on' : 'a list waits');
    return isActive;
  }

  async function pause(signal: AbortSignal, reason: WaitReason | 'database') {
    const isOver = () => reason === 'database' || isProved();
    do {
      if (signal.aborted) throw new GivenBack();
      await sleep(patienceMs, undefined, { signal }).catch(() => {});
    } while (!isOver());
  }

  async function finish(job: ChunkJob, attempt: string, { token, readBy, receivedAt }: ReadByOne, scored: Scored) {
    const { versions, ...scores } = scored;
    const ids = await listLabels.contractIds(versions);
    const copyOf = (contract: Contract) => {
      const copy = copies.of(contract);
      return copy && { copy, contract: contract === readBy ? null : contract };
    };
    const { parameters, counts, disagreements, ...done } = await thread.do('prepare', {
      token,
      scores,
      versions: versions.map((contract, i) => ({
        ...describeVersion(contract, ids[i] as number),
        copy: copyOf(contract),
      })),
      source,
      receivedAt,
      labelledAt: new Date(),
    });
    if (await listLabels.keepIf(parameters, chunks.claimDone(job, attempt, done))) {
      onRows(done);
      for (const { rows, ...label } of counts) onLabelled({ ...label, source }, rows);
      if (disagreements > 0) onDisagreement(disagreements);
    }
    await endList(job.batchId);
  }
}

type Scored = Awaited<ReturnType<ScoreChunk>>;

interface ReadByOne extends Pick<TakenChunk, 'receivedAt'> {
  token: string;
  readBy: Contract;
}

function describeVersion({ model, labels }: Contract, contractId: number): Omit<ChunkVersion, 'copy'> {
  const texts = Object.fromEntries(labels.map(({ code, text }) => [String(code), text]));
  return { contractId, modelName: model.name, modelVersion: model.version, version: model.version, texts };
}

const passing: Partial<Record<string, WaitReason>> = {
  deadline: 'model_unavailable',
  ...Object.fromEntries(waitReasons.map((reason) => [reason, reason])),
};

function reasonOf(error: unknown): WaitReason | 'database' | undefined {
  if (error instanceof ServiceError && error.code !== 'database_unavailable') return passing[error.code];
  return toServiceError(error).code === 'database_unavailable' ? 'database' : undefined;
}

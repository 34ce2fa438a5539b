import pLimit from 'p-limit';
import type { Contract, LabelCode } from '../contract/contract.ts';
import { ServiceError } from '../errors.ts';
import type { ModelGuard } from '../model-guard/model-guard.ts';
import type { OutageBreaker } from '../model-server/outage-breaker.ts';
import { type BodyRows, toBodyRows } from '../model-server/scoring-protocol.ts';
import { createSeparation, type Separated } from '../model-server/separate-refused.ts';
import type { ChunkFeatures, ChunkScores } from './chunk-rows.ts';
import { scaledFor } from './scaled-for.ts';

export interface ScoreChunkOptions {
  guard: Pick<ModelGuard, 'score' | 'prove'>;
  breaker: Pick<OutageBreaker, 'call'>;
  timeoutMs: number;
  /** Calls of lists at once, while nobody else comes. */
  concurrency: number;
  /** Whether single customers come: then calls are short, so that they need not wait for long ones. */
  isBusy(): boolean;
  onBatch(batch: { rows: number; durationMs: number }): void;
}

interface RowScore {
  label: LabelCode;
  probability: number | null;
  /** Of the version that answered. */
  contract: Contract;
}

export type ScoreChunk = (features: ChunkFeatures, readBy: Contract) => Promise<ChunkScores & { versions: Contract[] }>;

/** A whole chunk. Measured: 1,024 rows a call take longer in all, 16,384 are no quicker. */
const rowsPerCall = 4_096;
/** Of a model server that is too slow for more. */
const leastRowsPerCall = 256;
/** Measured beside 8 callers: their p99 is 2.5 times that without a list; 2.1 with 1,024 rows, 3.1 with 2,048. */
const rowsPerCallWhenBusy = 1_536;
/** To find what is refused in one call: 160 rows of 4,096 wherever they stand, or as many as there are of 1,024. */
const mostCalls = 2_048;

/**
 * Scores a chunk's accepted rows in calls as large as others allow; a row that the model server refuses costs itself only.
 * @returns for each row what the model said, and the versions that said it.
 * @throws ServiceError when the model server is away, does not prove itself or answers nonsense
 */
export function createScoreChunk(options: ScoreChunkOptions): ScoreChunk {
  const { guard, breaker, timeoutMs, concurrency, isBusy, onBatch } = options;

  const call = pLimit(concurrency);
  /** Rows that a call may have to be answered in time, as far as is known. */
  let bearable = rowsPerCall;

  return async (accepted, contract) => {
    const width = contract.features.length;
    const given = (i: number) => accepted.given.subarray(i * width, (i + 1) * width);

    /** Rows that stand one after the other. */
    const rowsFor = (rows: readonly number[]) => (version: Contract) =>
      version === contract
        ? partOf(accepted, rows)
        : toBodyRows(rows.map((i) => scaledFor(version, contract, given(i), accepted.scales[i] === 'raw')));

    const separate = createSeparation<number, RowScore>({
      mostCalls,
      // Nobody waits for all of it: each call has a deadline of its own
      async score(rows) {
        const startedAt = performance.now();
        const until = startedAt + timeoutMs;
        call.concurrency = isBusy() ? 1 : concurrency;
        const scores = await call(() => breaker.call(() => guard.score(rowsFor(rows), until)));
        onBatch({ rows: rows.length, durationMs: performance.now() - startedAt });
        return scores.labels.map((label, i) => ({
          label,
          probability: scores.probabilities?.[i] ?? null,
          contract: scores.contract,
        }));
      },
      control: () => guard.prove(),
    });

    const scores: ChunkScores & { versions: Contract[] } = {
      labels: [],
      probabilities: [],
      by: [],
      refusedWithOthers: [],
      versions: [],
    };
    const add = (one: Separated<RowScore>) => {
      if ('refusal' in one && one.refusal === 'refused_with_others')
        scores.refusedWithOthers.push(scores.labels.length);
      const { label, probability, contract: version } = 'refusal' in one ? refused : one.answer;
      if (version && !scores.versions.includes(version)) scores.versions.push(version);
      scores.labels.push(label);
      scores.probabilities.push(probability);
      scores.by.push(version ? scores.versions.indexOf(version) : 0);
    };
    for (let from = 0; from < accepted.count; from = scores.labels.length) {
      const size = Math.min(isBusy() ? rowsPerCallWhenBusy : rowsPerCall, bearable, accepted.count - from);
      const rows = Array.from({ length: size }, (_, i) => from + i);
      const separated = await separate(rows).catch((error: unknown) => {
        if (isDeadline(error)) bearable = Math.max(leastRowsPerCall, Math.floor(size / 2));
        throw error;
      });
      for (const one of separated) add(one);
      bearable = Math.min(rowsPerCall, Math.ceil(bearable * 1.01));
    }
    return scores;
  };
}

const refused = { label: null, probability: null, contract: null };

function isDeadline(error: unknown) {
  return error instanceof ServiceError && error.code === 'deadline';
}

function partOf({ json, ends }: ChunkFeatures, rows: readonly number[]): BodyRows {
  const [first, last] = [rows[0] as number, rows.at(-1) as number];
  const from = first === 0 ? 0 : (ends[first - 1] as number) + 1;
  return { count: rows.length, json: json.slice(from, ends[last]) };
}

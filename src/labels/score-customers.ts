import type { Contract, GoldenRow, LabelCode } from '../contract/contract.ts';
import { createFeatureParser, type FeatureVector, type ParseFeatures } from '../contract/feature-vector.ts';
import { perContract } from '../contract/per-contract.ts';
import { goldenVector } from '../contract/scaling.ts';
import { type ServiceError, toServiceError } from '../errors.ts';
import type { ModelGuard } from '../model-guard/model-guard.ts';
import { createBisection } from '../model-server/bisect-refused.ts';
import { agreedProbabilities } from '../model-copy/agreed-probabilities.ts';
import type { ModelCopies } from '../model-copy/model-copies.ts';
import type { Labelling } from './labelling.ts';
import { createMicroBatcher, type MicroBatcher } from '../model-server/micro-batcher.ts';
import type { OutageBreaker } from '../model-server/outage-breaker.ts';
import { toBodyRows } from '../model-server/scoring-protocol.ts';

export interface ScoringOptions {
  guard: Pick<ModelGuard, 'score' | 'prove'>;
  breaker: Pick<OutageBreaker, 'call' | 'refusal' | 'onOutage'>;
  /** Which model server answers. */
  source: Labelling['source'];
  limits: { concurrency: number; maxRows: number; maxQueuedRows: number; timeoutMs: number };
  copies: ModelCopies;
  onBatch(batch: { rows: number; durationMs: number }): void;
  /** Labels that the version's own copy gives otherwise: their probability is left out. */
  onDisagreement(labels: number): void;
  /** Customers refused at once because of an outage. */
  onRefused(customers: number): void;
}

/** A customer's features, read as each version of the model takes them. @throws ServiceError invalid_features */
export type Reading = (contract: Contract) => FeatureVector;

export interface Score {
  code: LabelCode;
  probability: number | null;
  /** Of the version that answered, and what it was given. */
  contract: Contract;
  vector: FeatureVector;
  labelledAt: Date;
  source: Labelling['source'];
}

/**
 * A call of one row takes a model server about as long as one of a few hundred, so fewer wait for the call in flight:
 * 64 callers get a sixth more with it, 16 a quarter (measured). The time is for what waits behind a long call.
 */
const secondCall = { rows: 256, afterMs: 20 };
/**
 * MLflow goes on computing what nobody waits for any more, so after a timeout the call's place stays taken: as long again
 * as the call was given, and at most this, so that a server that is back is used within 2 s.
 */
const heldAfterDeadlineMostMs = 1_500;
/** Customers' features in, labels of the version that answered out; customers of different callers share calls. */
export function createScoring(options: ScoringOptions): MicroBatcher<Reading, Score> {
  const { guard, breaker, source, limits, onBatch, onRefused } = options;

  const bisect = createBisection<Reading, Score>({
    async score(readings, until) {
      const startedAt = performance.now();
      const read = remembered((contract) => readings.map((reading) => attempt(() => reading(contract))));
      const vectorsFor = (version: Contract) =>
        read(version).map((one) => ('value' in one ? one.value.standardized : placeholder(version)));
      const scores = await breaker.call(() => guard.score((version) => toBodyRows(vectorsFor(version)), until));
      onBatch({ rows: readings.length, durationMs: performance.now() - startedAt });
      const labelledAt = new Date();
      const { labels, contract } = scores;
      const probabilities = scores.probabilities ?? copied(contract, vectorsFor(contract), labels);
      return read(contract).map((one, i) => {
        if ('error' in one) return one;
        const probability = probabilities?.[i] ?? null;
        return {
          answer: { code: labels[i] as LabelCode, probability, contract, vector: one.value, labelledAt, source },
        };
      });
    },
    control: () => guard.prove(),
  });

  function copied(contract: Contract, vectors: readonly (readonly number[])[], labels: readonly LabelCode[]) {
    const copy = options.copies.of(contract);
    if (!copy) return null;
    const { probabilities, disagreements } = agreedProbabilities(copy, vectors, labels);
    if (disagreements > 0) options.onDisagreement(disagreements);
    return probabilities;
  }

  const batcher = createMicroBatcher({
    process: bisect,
    refusal(rows) {
      const refusal = breaker.refusal();
      if (refusal) onRefused(rows);
      return refusal;
    },
    maxRows: limits.maxRows,
    maxInFlight: limits.concurrency,
    beside: secondCall,
    maxQueued: limits.maxQueuedRows,
    timeoutMs: limits.timeoutMs,
    heldAfterDeadlineMs: Math.min(limits.timeoutMs, heldAfterDeadlineMostMs),
  });
  breaker.onOutage((refusal) => {
    onRefused(batcher.waiting);
    batcher.refuseWaiting(refusal);
  });
  return batcher;
}

/** Goes where a customer's features cannot be read as the version that answers takes them; its label is not used. */
function placeholder(contract: Contract): readonly number[] {
  return goldenVector(contract, contract.goldenRows[0] as GoldenRow);
}

const parserOf = perContract(createFeatureParser);

/** What was found for the contract asked last is kept: mostly there is only one. */
function remembered<T>(find: (contract: Contract) => T): (contract: Contract) => T {
  let last: { contract: Contract; found: T } | undefined;
  return (contract) => {
    if (last?.contract !== contract) last = { contract, found: find(contract) };
    return last.found;
  };
}

/** Reads features as the expected version takes them, so that what is wrong with them is known before any call. */
export function createReading(
  guard: Pick<ModelGuard, 'expected'>,
  read: (parse: ParseFeatures) => FeatureVector,
): Reading {
  const reading = remembered((contract) => read(parserOf(contract)));
  reading(guard.expected());
  return reading;
}

export function attempt<T>(work: () => T): { value: T } | { error: ServiceError } {
  try {
    return { value: work() };
  } catch (error) {
    return { error: toServiceError(error) };
  }
}

import type { LabelCode } from '../contract/contract.ts';
import { type ServiceError, toServiceError } from '../errors.ts';
import { type ModelCopies, predictWith } from '../model-copy/model-copies.ts';
import type { ModelGuard } from '../model-guard/model-guard.ts';
import type { MicroBatcher } from '../model-server/micro-batcher.ts';
import { isOutage } from '../model-server/outage-breaker.ts';
import type { Reading, Score } from './score-customers.ts';

interface LabelInOutageOptions {
  scoring: MicroBatcher<Reading, Score>;
  guard: Pick<ModelGuard, 'lastProved'>;
  copies: ModelCopies;
  /** The copy labelled a customer. */
  onFallback(): void;
}

/** Of a caller's time, what is kept for the copy when the model server does not answer. */
export function reserveMs(timeoutMs: number): number {
  return Math.min(timeoutMs / 5, 500);
}

/**
 * Scoring that nobody notices the model server's absence of: what ends because it is away, refused at once or after a
 * wait, is answered by the copy of the version that was proved last. Any other end stands: a wrong answer is no absence.
 */
export function createLabelInOutage({ scoring, guard, copies, onFallback }: LabelInOutageOptions) {
  function answer(reading: Reading, outage: ServiceError): Score {
    const contract = guard.lastProved();
    const copy = contract && copies.of(contract);
    if (!contract || !copy) throw outage;
    const vector = reading(contract);
    const { labels, probabilities } = predictWith(copy, [vector.standardized]);
    onFallback();
    return {
      code: labels[0] as LabelCode,
      probability: probabilities?.[0] ?? null,
      contract,
      vector,
      labelledAt: new Date(),
      source: 'embedded',
    };
  }

  function submit(readings: readonly Reading[], left?: AbortSignal): Promise<Score>[] {
    const instead = (reading: Reading) => (error: unknown) => {
      const fault = toServiceError(error);
      if (!isOutage(fault) || left?.aborted) throw fault;
      return answer(reading, fault);
    };
    try {
      return scoring.submit(readings, left).map((score, i) => score.catch(instead(readings[i] as Reading)));
    } catch (error) {
      if (!isOutage(error)) throw error;
      return readings.map((reading) => Promise.reject(error).catch(instead(reading)));
    }
  }

  return { submit };
}

import { type Contract, goldenRowsPerCall, labelOf } from '../contract/contract.ts';
import { goldenVector } from '../contract/scaling.ts';
import { ServiceError, toServiceError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { type InvokeOptions, type ModelServerClient, RowsRefused } from '../model-server/model-server-client.ts';
import { parsePredictions, type Scores } from '../model-server/scoring-protocol.ts';

export type GuardStatus = 'unproved' | 'proved' | 'untrusted' | 'unavailable' | 'bad_answer';

export interface GuardState {
  status: GuardStatus;
  /** When this status began. */
  since: Date;
  lastProvedAt: Date | null;
  /** The last fault in words that hold nothing of a customer; null while proved. */
  reason: string | null;
}

/** Scores of a call whose golden rows came back as the contract says. */
export interface ProvedScores extends Scores {
  /** The version that was proved to answer; null when the contract was adopted without one. */
  version: string | null;
}

export interface ModelGuard {
  /**
   * Scores standardised vectors in a call that proves which model made it.
   * @param retryUntil until when a call is retried that found the model server away, on performance.now()'s clock.
   * @throws ServiceError `model_untrusted` when the golden rows' labels are wrong, and what the client throws.
   */
  score(vectors: readonly (readonly number[])[], retryUntil?: number): Promise<ProvedScores>;
  /** Sends every golden row of the contract, once. @throws like score */
  prove(options?: { timeoutMs: number }): Promise<void>;
  state(): GuardState;
}

interface ModelGuardOptions {
  contract: Contract;
  client: Pick<ModelServerClient, 'invoke'>;
  logger: Logger;
}

const statusOf: Partial<Record<string, GuardStatus>> = {
  model_untrusted: 'untrusted',
  model_unavailable: 'unavailable',
  deadline: 'unavailable',
  model_bad_answer: 'bad_answer',
};

/**
 * MLflow's reply never says which model made it. One request is scored by one model, so golden rows in the request's
 * own body, before the customers' rows, prove which model labelled these very customers, and in which column order.
 */
export function createModelGuard({ contract, client, logger }: ModelGuardOptions): ModelGuard {
  const golden = contract.goldenRows.map((row) => ({ vector: goldenVector(contract, row), label: row.label }));
  let state: GuardState = { status: 'unproved', since: new Date(), lastProvedAt: null, reason: null };

  async function call(
    goldenCount: number,
    vectors: readonly (readonly number[])[],
    options?: InvokeOptions,
  ): Promise<ProvedScores> {
    const proof = golden.slice(0, goldenCount);
    const sent = [...proof.map((row) => row.vector), ...vectors];
    const scores = parsePredictions(await client.invoke(sent, options), sent.length, contract);
    if (typeof scores === 'string') throw badAnswer(scores);

    const wrong = proof.filter((row, i) => row.label !== scores.labels[i]).length;
    if (wrong > 0) {
      const reason = `${wrong} of ${proof.length} golden rows came back with another label`;
      throw new ServiceError('model_untrusted', { reason });
    }
    const labels = scores.labels.slice(proof.length);
    if (!labels.every((code) => labelOf(contract, code))) throw badAnswer('unknown_label');
    return {
      labels,
      probabilities: scores.probabilities?.slice(proof.length) ?? null,
      version: contract.model.version,
    };
  }

  async function watched(goldenCount: number, vectors: readonly (readonly number[])[], options?: InvokeOptions) {
    try {
      const scores = await call(goldenCount, vectors, options);
      enter('proved', null);
      return scores;
    } catch (error) {
      // A refused row says nothing of the model: the bisection finds out whose fault it is.
      if (error instanceof RowsRefused) throw error;
      const fault = toServiceError(error);
      enter(statusOf[fault.code] ?? 'bad_answer', fault.message);
      throw fault;
    }
  }

  function enter(status: GuardStatus, reason: string | null) {
    const now = new Date();
    if (status !== state.status) {
      const level = status === 'proved' ? 'info' : 'warn';
      logger[level]({ from: state.status, to: status, version: contract.model.version, reason }, 'model guard');
    }
    state = {
      status,
      since: status === state.status ? state.since : now,
      lastProvedAt: status === 'proved' ? now : state.lastProvedAt,
      reason,
    };
  }

  return {
    score: (vectors, retryUntil) => watched(goldenRowsPerCall, vectors, { retryUntil }),
    async prove(options) {
      try {
        await watched(golden.length, [], options);
      } catch (error) {
        if (!(error instanceof RowsRefused)) throw error;
        const fault = badAnswer('golden rows refused');
        enter('bad_answer', fault.message);
        throw fault;
      }
    },
    state: () => state,
  };
}

function badAnswer(fault: string) {
  return new ServiceError('model_bad_answer', { reason: `the model server's answer cannot be used: ${fault}` });
}

const proofAgeMs = 60_000;

/**
 * Proves the model again while nobody asks: every `everyMs` until it is proved, then when the last proof is a minute old.
 * @returns a function that stops it.
 */
export function watchModel(guard: Pick<ModelGuard, 'prove' | 'state'>, everyMs = 5_000): () => void {
  const timer = setInterval(() => {
    const { status, lastProvedAt } = guard.state();
    const fresh = status === 'proved' && Date.now() - (lastProvedAt?.getTime() ?? 0) < proofAgeMs;
    if (!fresh) guard.prove().catch(() => {});
  }, everyMs).unref();
  return () => clearInterval(timer);
}

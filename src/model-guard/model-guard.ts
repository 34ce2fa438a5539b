import { type Contract, goldenRowsPerCall as enoughGoldenRows, labelOf } from '../contract/contract.ts';
import { ServiceError, toServiceError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { type InvokeOptions, type ModelServerClient, RowsRefused } from '../model-server/model-server-client.ts';
import { type BodyRows, joinRows, type Scores } from '../model-server/scoring-protocol.ts';
import { badAnswer, proofOf, readProof, slice, takingAsMany } from './proof.ts';

export type GuardStatus = 'unproved' | 'proved' | 'untrusted' | 'unavailable' | 'bad_answer';

export interface GuardState {
  status: GuardStatus;
  /** Of the version proved to answer; null when none is, or when its contract names none. */
  version: string | null;
  /** When this status began. */
  since: Date;
  lastProvedAt: Date | null;
  /** The last fault in words that hold nothing of a customer; null while proved. */
  reason: string | null;
  /** Known versions whose golden rows came back right too: no row tells them from the one that is proved. */
  cannotTell: string[];
}

/** Scores of a call whose golden rows came back as a contract says. */
export interface ProvedScores extends Scores {
  /** Of the version that was proved to answer. */
  contract: Contract;
}

/** Customers' vectors as a version takes them: always as many, in the same order. */
export type RowsFor = (contract: Contract) => BodyRows;

const noRows: BodyRows = { count: 0, json: '' };

export interface ModelGuard {
  /** The version that calls are scaled for: the one proved last, before any proof the one that should be live. */
  expected(): Contract;
  /** The version proved last, in this process or as far as recall() knows; it may be away by now. */
  lastProved(): Contract | undefined;
  /** Says which version was proved last before this process began. */
  recall(version: string): void;
  /**
   * Scores vectors in a call that proves which known version made it. Answered by another than expected, and scaled
   * otherwise, the call is repeated once.
   * @param retryUntil until when a call is retried that found the model server away, on performance.now()'s clock.
   * @throws ServiceError `model_untrusted` when the golden rows are of no known version, and what the client throws.
   */
  score(rowsFor: RowsFor, retryUntil?: number): Promise<ProvedScores>;
  /** Sends every golden row of every known version, once. @throws like score */
  prove(options?: { timeoutMs: number }): Promise<void>;
  state(): GuardState;
}

interface ModelGuardOptions {
  /** Of the known versions, the one that should be live first. */
  contracts(): readonly Contract[];
  client: Pick<ModelServerClient, 'invoke'>;
  logger: Logger;
  goldenRowsPerCall?: number | undefined;
}

const statusOf: Partial<Record<string, GuardStatus>> = {
  model_untrusted: 'untrusted',
  model_unavailable: 'unavailable',
  deadline: 'unavailable',
  model_bad_answer: 'bad_answer',
};

/**
 * MLflow's reply never says which model made it. One request is scored by one model, so golden rows of the known
 * versions in the request's own body, before the customers' rows, prove which one labelled these very customers, and in
 * which column order.
 */
export function createModelGuard(options: ModelGuardOptions): ModelGuard {
  const { contracts, client, logger, goldenRowsPerCall = enoughGoldenRows } = options;
  let last: Contract | undefined;
  let state: GuardState = {
    status: 'unproved',
    version: null,
    since: new Date(),
    lastProvedAt: null,
    reason: null,
    cannotTell: [],
  };

  function expected(): Contract {
    return lastProved() ?? (contracts()[0] as Contract);
  }

  function lastProved(): Contract | undefined {
    return last && contracts().includes(last) ? last : undefined;
  }

  /** One call, with the customers scaled for each of these versions; which of the known ones answered, and what. */
  async function ask(scaledFor: readonly Contract[], rowsFor: RowsFor, goldenCount: number, options?: InvokeOptions) {
    const first = scaledFor[0] as Contract;
    // A promotion may have led on while an earlier call of the same request was made.
    const known = takingAsMany([...new Set([...contracts(), first])], first);
    const proofs = known.map((contract) => proofOf(contract, goldenCount));
    const customers = scaledFor.map((contract) => ({ contract, rows: rowsFor(contract) }));
    const sent = joinRows([...proofs.map((proof) => proof.sent), ...customers.map(({ rows }) => rows)]);
    const reply = await client.invoke(sent, options);
    const { answered, scores, cannotTell } = readProof(reply, sent.count, proofs, first);
    last = answered;

    let at = proofs.reduce((count, proof) => count + proof.sent.count, 0);
    const parts = customers.map(({ contract, rows }) => {
      const from = at;
      at += rows.count;
      return { contract, rows, scores: { contract: answered, ...slice(scores, from, at) } };
    });
    return { answered, parts, cannotTell };
  }

  async function score(rowsFor: RowsFor, options: InvokeOptions): Promise<ProvedScores> {
    const first = expected();
    const once = await ask([first], rowsFor, goldenRowsPerCall, options);
    const [part] = once.parts as [(typeof once.parts)[number]];
    if (once.answered === first || part.rows.json === rowsFor(once.answered).json)
      return proved(part.scores, once.cannotTell);
    // Scaled for both, since either may answer while one replaces the other.
    const both = takingAsMany([once.answered, first], once.answered);
    const again = await ask(both, rowsFor, goldenRowsPerCall, options);
    const right = again.parts.find(({ contract }) => contract === again.answered);
    if (right) return proved(right.scores, again.cannotTell);
    throw new ServiceError('model_untrusted', { reason: 'the model server changed its version from call to call' });
  }

  /** A label that the answering version's contract does not have is never stored or shown. */
  function proved(scores: ProvedScores, cannotTell: string[]): ProvedScores {
    if (!scores.labels.every((code) => labelOf(scores.contract, code))) throw badAnswer('unknown_label');
    enter('proved', null, cannotTell);
    return scores;
  }

  async function prove(options?: InvokeOptions): Promise<void> {
    const widths = new Set(contracts().map(({ features }) => features.length));
    const ofWidth = [...widths].map((width) => contracts().find(({ features }) => features.length === width));
    const first = expected();
    const asked = [
      first,
      ...ofWidth.filter((one) => one && one.features.length !== first.features.length),
    ] as Contract[];
    for (const [i, contract] of asked.entries()) {
      try {
        const { cannotTell } = await ask([contract], () => noRows, Infinity, options);
        enter('proved', null, cannotTell);
        return;
      } catch (error) {
        const isLast = i === asked.length - 1;
        if (error instanceof RowsRefused && isLast) throw badAnswer('golden rows refused');
        if (isLast || !(error instanceof RowsRefused || isUntrusted(error))) throw error;
      }
    }
  }

  /** What the work throws becomes the guard's state. A refused row says nothing of the model: bisection finds out. */
  async function watched<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof RowsRefused) throw error;
      const fault = toServiceError(error);
      enter(statusOf[fault.code] ?? 'bad_answer', fault.message, []);
      throw fault;
    }
  }

  function enter(status: GuardStatus, reason: string | null, cannotTell: string[]) {
    const now = new Date();
    const version = status === 'proved' ? (last?.model.version ?? null) : null;
    const changed =
      status !== state.status || version !== state.version || String(cannotTell) !== String(state.cannotTell);
    if (changed) {
      const level = status === 'proved' && cannotTell.length === 0 ? 'info' : 'warn';
      logger[level]({ from: state.status, to: status, version, cannotTell, reason }, 'model guard');
    }
    const since = changed ? now : state.since;
    state = {
      status,
      version,
      since,
      lastProvedAt: status === 'proved' ? now : state.lastProvedAt,
      reason,
      cannotTell,
    };
  }

  return {
    expected,
    lastProved,
    recall(version) {
      last ??= contracts().find(({ model }) => model.version === version);
    },
    score: (rowsFor, retryUntil) => watched(() => score(rowsFor, { retryUntil })),
    prove: (options) => watched(() => prove(options)),
    state: () => state,
  };
}

function isUntrusted(error: unknown): boolean {
  return error instanceof ServiceError && error.code === 'model_untrusted';
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

import { ServiceError } from '../errors.ts';

/** No answer was computed, or the model server asks to come again later. The one fault that is worth a retry. */
export class ModelUnavailable extends ServiceError {
  /** What Retry-After asked for, at most 30 s; undefined when it was not there. */
  readonly askedMs: number | undefined;
  /** A kept-alive connection was closed just as it was used: no sign of an outage. */
  readonly isStale: boolean;

  constructor({ reason, askedMs, isStale = false }: { reason: string; askedMs?: number; isStale?: boolean }) {
    super('model_unavailable', { reason, retryAfterSeconds: Math.max(1, Math.ceil((askedMs ?? 0) / 1_000)) });
    this.askedMs = askedMs;
    this.isStale = isStale;
  }
}

const longestAskedMs = 30_000;

/** Reads a Retry-After of seconds or a date; never more than 30 s. @returns undefined for what is neither. */
export function readRetryAfter(header: unknown, nowMs = Date.now()): number | undefined {
  if (typeof header !== 'string' || header.trim() === '') return undefined;
  const seconds = Number(header);
  const askedMs = Number.isNaN(seconds) ? Date.parse(header) - nowMs : seconds * 1_000;
  return Number.isNaN(askedMs) ? undefined : Math.min(Math.max(askedMs, 0), longestAskedMs);
}

const answersPerRetry = 10;
const retriesInReserve = 3;

/**
 * Retries that answers have earned: one for ten of them, three at most, and three to begin with. While nothing is
 * answered nothing is earned, so an outage costs three extra calls, however many callers there are and however long it
 * lasts.
 */
export function createRetryBudget() {
  const most = retriesInReserve * answersPerRetry;
  let earned = most;
  return {
    answered() {
      earned = Math.min(earned + 1, most);
    },
    /** Takes one retry. @returns false when there is none. */
    take(): boolean {
      if (earned < answersPerRetry) return false;
      earned -= answersPerRetry;
      return true;
    },
  };
}

const maxAttempts = 3;
const backoffMs = 100;

/** Full jitter: anything from none to 100 ms before the second attempt, to 200 ms before the third. */
export function jitteredBackoffMs(attempt: number, random = Math.random): number {
  return random() * backoffMs * 2 ** (attempt - 1);
}

export interface Retries {
  /**
   * Makes a call up to three times. Only ModelUnavailable is retried: after full jitter, not before Retry-After, while
   * the budget has retries, and only before `retryUntil`. A stale connection is retried once, at once, by a budget of
   * its own; as one of the three.
   * @param retryUntil on performance.now()'s clock; undefined: no retry but that of a stale connection.
   */
  run<T>(attempt: () => Promise<T>, retryUntil: number | undefined): Promise<T>;
}

/** @param mayRetry asked again after the wait, so that nothing goes out that was called off meanwhile. */
export function createRetries(options: { mayRetry?(): boolean; onRetry?(): void } = {}): Retries {
  const { mayRetry = () => true, onRetry = () => {} } = options;
  const budget = createRetryBudget();
  const staleBudget = createRetryBudget();

  async function isAnother(fault: unknown, attempt: number, wasStale: boolean, retryUntil = 0): Promise<boolean> {
    if (!(fault instanceof ModelUnavailable) || attempt === maxAttempts) return false;
    if (fault.isStale && !wasStale && staleBudget.take()) return true;
    const waitMs = (fault.askedMs ?? 0) + jitteredBackoffMs(attempt);
    if (performance.now() + waitMs >= retryUntil || !mayRetry() || !budget.take()) return false;
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    return mayRetry();
  }

  return {
    async run(attempt, retryUntil) {
      let wasStale = false;
      for (let made = 1; ; made += 1)
        try {
          const answer = await attempt();
          budget.answered();
          staleBudget.answered();
          return answer;
        } catch (fault) {
          if (!(await isAnother(fault, made, wasStale, retryUntil))) throw fault;
          wasStale ||= fault instanceof ModelUnavailable && fault.isStale;
          onRetry();
        }
    },
  };
}

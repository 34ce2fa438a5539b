import { ServiceError } from '../errors.ts';
import type { Logger } from '../logger.ts';

/** An outage of the model server, as people are told of it. */
export interface Outage {
  /** When calls for customers stopped. */
  since: Date;
  /** The last fault, in words that hold nothing of a customer. */
  reason: string;
}

export interface OutageBreaker {
  /** Makes a call for customers, and learns from how it ends. @throws what the call throws, and like refusal() */
  call<T>(work: () => Promise<T>): Promise<T>;
  /** Why no call for customers may go out now: `model_unavailable`, with when the model server is asked again. */
  refusal(): ServiceError | undefined;
  /** Tells when an outage begins, with the refusal for what waits at that moment. */
  onOutage(listener: (refusal: ServiceError) => void): void;
  /** null while calls go out. */
  outage(): Outage | null;
  close(): void;
}

interface OutageBreakerOptions {
  /** A call that brings no customer and proves the model; must end in about `timeoutMs`. */
  probe(timeoutMs: number): Promise<void>;
  /** How long a call may take: a probe never gets more. */
  timeoutMs: number;
  logger: Logger;
}

/** Envoy's outlier detection takes five too: enough that a restart of one worker of several goes unnoticed. */
const failuresToOpen = 5;
/** Each of these has cost callers the whole timeout, and server 2 a thread that may still compute. */
const timeoutsToOpen = 3;
const probeEveryMs = 1_000;
/** The longest that a Retry-After puts a probe off. */
const probeAfterMostMs = 5_000;
const firstProbeTimeoutMs = 1_000;

/**
 * Keeps customers' calls from a model server that is away.
 *
 * Closed → open: five calls in a row ended as model_unavailable or deadline, or three of a shorter run as deadline.
 * Anything else is an answer and ends the run: a wrong answer is no outage, and the guard's to judge.
 * Open: each call is refused at once. A probe goes out 1 s after the last one ended; later if the model server asks for
 * it, but within 5 s. It may take 1 s, and twice that after each timeout, so that a server that is slow is found as well.
 * Open → closed: something answers, the probe or a call that was still under way. Customers are never the probe.
 */
export function createOutageBreaker({ probe, timeoutMs, logger }: OutageBreakerOptions): OutageBreaker {
  const listeners: ((refusal: ServiceError) => void)[] = [];
  let run = { failures: 0, timeouts: 0 };
  let outage: Outage | null = null;
  let probeTimeoutMs = firstProbeTimeoutMs;
  let nextProbeAt = 0;
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;

  function answered() {
    run = { failures: 0, timeouts: 0 };
    if (outage === null) return;
    clearTimeout(timer);
    logger.info({ since: outage.since }, 'the outage of the model server is over');
    outage = null;
  }

  function failed(fault: ServiceError) {
    if (outage !== null) return;
    run.failures += 1;
    if (fault.code === 'deadline') run.timeouts += 1;
    if (run.failures < failuresToOpen && run.timeouts < timeoutsToOpen) return;
    outage = { since: new Date(), reason: fault.message };
    probeTimeoutMs = Math.min(firstProbeTimeoutMs, timeoutMs);
    probeLater(fault);
    logger.warn({ ...run, reason: outage.reason }, 'an outage of the model server: no customer is sent there');
    const refused = refusal() as ServiceError;
    for (const listener of listeners) listener(refused);
  }

  function probeLater(fault: ServiceError) {
    if (isClosed) return;
    const askedMs = (fault.retryAfterSeconds ?? 0) * 1_000;
    const waitMs = Math.min(Math.max(askedMs, probeEveryMs), probeAfterMostMs);
    nextProbeAt = performance.now() + waitMs;
    timer = setTimeout(() => void ask(), waitMs).unref();
  }

  async function ask() {
    try {
      await probe(probeTimeoutMs);
      answered();
    } catch (error) {
      if (!isOutage(error)) return answered();
      if (outage === null) return;
      outage = { ...outage, reason: error.message };
      if (error.code === 'deadline') probeTimeoutMs = Math.min(probeTimeoutMs * 2, timeoutMs);
      probeLater(error);
    }
  }

  function refusal() {
    if (outage === null) return undefined;
    const retryAfterSeconds = Math.max(1, Math.ceil((nextProbeAt - performance.now()) / 1_000));
    return new ServiceError('model_unavailable', { reason: `an outage: ${outage.reason}`, retryAfterSeconds });
  }

  return {
    async call(work) {
      const refused = refusal();
      if (refused) throw refused;
      try {
        const answer = await work();
        answered();
        return answer;
      } catch (error) {
        if (isOutage(error)) failed(error);
        else answered();
        throw error;
      }
    },
    refusal,
    onOutage: (listener) => void listeners.push(listener),
    outage: () => outage,
    close() {
      isClosed = true;
      clearTimeout(timer);
    },
  };
}

/** Whether a call ended because the model server is away or silent; a wrong answer is none of that. */
export function isOutage(error: unknown): error is ServiceError {
  return error instanceof ServiceError && (error.code === 'model_unavailable' || error.code === 'deadline');
}

import { ServiceError } from '../errors.ts';

export interface MicroBatcher<Item, Answer> {
  /**
   * Queues items; each promise ends with that item's answer or a ServiceError. They may share a batch with others'.
   * @param signal aborted when the caller has left: what still waits is dropped.
   * @throws ServiceError `overloaded` when they do not fit in the queue, `not_ready` after close().
   */
  submit(items: readonly Item[], signal?: AbortSignal): Promise<Answer>[];
  readonly waiting: number;
  readonly inFlight: number;
  /** Takes nothing new, finishes what waits and what is in flight. */
  close(): Promise<void>;
}

export type Outcome<Answer> = { answer: Answer } | { error: unknown };

export interface MicroBatcherOptions<Item, Answer> {
  /** One outcome an item, in order. A throw, or another count, fails every item of the batch. */
  process(items: readonly Item[]): Promise<readonly Outcome<Answer>[]>;
  maxRows: number;
  maxInFlight: number;
  maxQueued: number;
  /** From submit to answer; after it the item ends with `deadline`, wherever it is. */
  timeoutMs: number;
}

interface Waiter<Item, Answer> {
  item: Item;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

/**
 * What waits while the batches in flight are busy goes out together.
 *
 * There is no window to wait for: an item that finds a free slot leaves with whatever else arrived in the same turn of
 * the event loop. Under load the slots are busy, so batches grow by themselves up to `maxRows`, and the latency that
 * batching adds is never more than the batch before.
 */
export function createMicroBatcher<Item, Answer>(
  options: MicroBatcherOptions<Item, Answer>,
): MicroBatcher<Item, Answer> {
  const { maxRows, maxInFlight, maxQueued, timeoutMs } = options;
  const queue = new Set<Waiter<Item, Answer>>();
  let inFlight = 0;
  let scheduled: NodeJS.Immediate | undefined;
  let closed = false;
  let drained: (() => void) | undefined;

  function submit(items: readonly Item[], signal?: AbortSignal): Promise<Answer>[] {
    if (closed) throw new ServiceError('not_ready');
    if (queue.size > 0 && queue.size + items.length > maxQueued) throw new ServiceError('overloaded');
    const waiters: Waiter<Item, Answer>[] = [];
    const promises = items.map(
      (item) =>
        new Promise<Answer>((resolve, reject) => {
          waiters.push({ item, resolve, reject });
        }),
    );
    for (const waiter of waiters) queue.add(waiter);
    giveUpInTime(waiters, promises, signal);
    schedule();
    return promises;
  }

  function giveUpInTime(waiters: Waiter<Item, Answer>[], promises: Promise<Answer>[], signal?: AbortSignal) {
    const giveUp = (error: ServiceError) => {
      for (const waiter of waiters) {
        queue.delete(waiter);
        waiter.reject(error);
      }
    };
    const timer = setTimeout(() => giveUp(new ServiceError('deadline')), timeoutMs);
    const leave = () => giveUp(new ServiceError('deadline', { reason: 'the caller left' }));
    signal?.addEventListener('abort', leave, { once: true });
    void Promise.allSettled(promises).then(() => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', leave);
    });
  }

  function schedule() {
    if (inFlight < maxInFlight && queue.size > 0) scheduled ??= setImmediate(dispatch);
  }

  function dispatch() {
    scheduled = undefined;
    while (inFlight < maxInFlight && queue.size > 0) {
      const batch = [...queue.values().take(maxRows)];
      for (const waiter of batch) queue.delete(waiter);
      inFlight += 1;
      void run(batch).then(() => {
        inFlight -= 1;
        schedule();
        if (inFlight === 0 && queue.size === 0) drained?.();
      });
    }
  }

  async function run(batch: Waiter<Item, Answer>[]) {
    try {
      const outcomes = await options.process(batch.map((waiter) => waiter.item));
      if (outcomes.length !== batch.length) {
        const reason = `${batch.length} items were sent, ${outcomes.length} outcomes came back`;
        throw new ServiceError('model_bad_answer', { reason });
      }
      for (const [i, waiter] of batch.entries()) {
        const outcome = outcomes[i] as Outcome<Answer>;
        if ('answer' in outcome) waiter.resolve(outcome.answer);
        else waiter.reject(outcome.error);
      }
    } catch (error) {
      for (const waiter of batch) waiter.reject(error);
    }
  }

  return {
    submit,
    get waiting() {
      return queue.size;
    },
    get inFlight() {
      return inFlight;
    },
    close() {
      closed = true;
      if (inFlight === 0 && queue.size === 0) return Promise.resolve();
      return new Promise((resolve) => {
        drained = resolve;
      });
    },
  };
}

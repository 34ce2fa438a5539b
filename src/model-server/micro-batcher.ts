import { ServiceError } from '../errors.ts';

export interface MicroBatcher<Item, Answer> {
  /**
   * Queues items; each promise ends with that item's answer or a ServiceError. They may share a batch with others'.
   * @param signal aborted when the caller has left: what still waits is dropped.
   * @throws ServiceError `overloaded` when they do not fit in the queue, `not_ready` after close(), and any refusal().
   */
  submit(items: readonly Item[], signal?: AbortSignal): Promise<Answer>[];
  /** Ends what waits and is not in flight. */
  refuseWaiting(error: ServiceError): void;
  readonly waiting: number;
  readonly inFlight: number;
  /** Takes nothing new, finishes what waits and what is in flight. */
  close(): Promise<void>;
}

export type Outcome<Answer> = { answer: Answer } | { error: unknown };

export interface MicroBatcherOptions<Item, Answer> {
  /**
   * One outcome an item, in order. A throw, or another count, fails every item of the batch.
   * @param until when the last of them ends with `deadline`, on performance.now()'s clock.
   */
  process(items: readonly Item[], until: number): Promise<readonly Outcome<Answer>[]>;
  /** Asked before items are queued: why none can be. */
  refusal?(rows: number): ServiceError | undefined;
  maxRows: number;
  maxInFlight: number;
  /**
   * How many rows must wait, or how long, before a batch goes out beside one in flight; by default one row, at once.
   * Fewer share the next batch: two small ones at once cost more than they save.
   */
  beside?: { rows: number; afterMs: number };
  maxQueued: number;
  /** From submit to answer; after it the item ends with `deadline`, wherever it is. */
  timeoutMs: number;
  /**
   * How long the place of a batch stays taken that ended with `deadline`: nobody waits for it, but the other side may
   * still be at it. By default not at all.
   */
  heldAfterDeadlineMs?: number;
}

interface Waiter<Item, Answer> {
  item: Item;
  /** On performance.now()'s clock. */
  until: number;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

/**
 * What waits while a batch is in flight goes out together.
 *
 * There is no window to wait for: an item that finds nothing in flight leaves with whatever else arrived in the same
 * turn of the event loop. Under load batches grow by themselves up to `maxRows`, and the latency that batching adds is
 * never more than the batch before, or `beside.afterMs`.
 */
export function createMicroBatcher<Item, Answer>(
  options: MicroBatcherOptions<Item, Answer>,
): MicroBatcher<Item, Answer> {
  const { maxRows, maxInFlight, maxQueued, timeoutMs, beside = { rows: 1, afterMs: 0 } } = options;
  const queue = new Set<Waiter<Item, Answer>>();
  const held = new Set<NodeJS.Timeout>();
  let inFlight = 0;
  let scheduled: NodeJS.Immediate | undefined;
  let patience: NodeJS.Timeout | undefined;
  let closed = false;
  let drained: (() => void) | undefined;

  function submit(items: readonly Item[], signal?: AbortSignal): Promise<Answer>[] {
    if (closed) throw new ServiceError('not_ready');
    const refused = items.length > 0 && options.refusal?.(items.length);
    if (refused) throw refused;
    if (queue.size > 0 && queue.size + items.length > maxQueued) throw new ServiceError('overloaded');
    const until = performance.now() + timeoutMs;
    const waiters: Waiter<Item, Answer>[] = [];
    const promises = items.map(
      (item) =>
        new Promise<Answer>((resolve, reject) => {
          waiters.push({ item, until, resolve, reject });
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
    if (isFull() || queue.size === 0) return;
    if (mayGo()) scheduled ??= setImmediate(dispatch);
    else patience ??= setTimeout(dispatch, beside.afterMs, true);
  }

  function isFull() {
    return inFlight + held.size >= maxInFlight;
  }

  function mayGo() {
    return inFlight === 0 || queue.size >= Math.min(beside.rows, maxRows);
  }

  function dispatch(isLate = false) {
    clearTimeout(patience);
    scheduled = undefined;
    patience = undefined;
    for (let go = isLate; !isFull() && queue.size > 0 && (go || mayGo()); go = false) {
      const batch = [...queue.values().take(maxRows)];
      for (const waiter of batch) queue.delete(waiter);
      inFlight += 1;
      void run(batch).then((hasTimedOut) => {
        inFlight -= 1;
        if (hasTimedOut) hold();
        schedule();
        if (inFlight === 0 && queue.size === 0) drained?.();
      });
    }
    schedule();
  }

  function hold() {
    if (closed || !options.heldAfterDeadlineMs) return;
    const place = setTimeout(() => {
      held.delete(place);
      schedule();
    }, options.heldAfterDeadlineMs).unref();
    held.add(place);
  }

  /** @returns whether it ended with `deadline`, even for one item. */
  async function run(batch: Waiter<Item, Answer>[]): Promise<boolean> {
    try {
      const until = batch.at(-1)?.until as number;
      const outcomes = await options.process(
        batch.map((waiter) => waiter.item),
        until,
      );
      if (outcomes.length !== batch.length) {
        const reason = `${batch.length} items were sent, ${outcomes.length} outcomes came back`;
        throw new ServiceError('model_bad_answer', { reason });
      }
      for (const [i, waiter] of batch.entries()) {
        const outcome = outcomes[i] as Outcome<Answer>;
        if ('answer' in outcome) waiter.resolve(outcome.answer);
        else waiter.reject(outcome.error);
      }
      return outcomes.some((outcome) => 'error' in outcome && isDeadline(outcome.error));
    } catch (error) {
      for (const waiter of batch) waiter.reject(error);
      return isDeadline(error);
    }
  }

  function refuseWaiting(error: ServiceError) {
    for (const waiter of queue) waiter.reject(error);
    queue.clear();
    if (inFlight === 0) drained?.();
  }

  return {
    submit,
    refuseWaiting,
    get waiting() {
      return queue.size;
    },
    get inFlight() {
      return inFlight;
    },
    close() {
      closed = true;
      for (const place of held) clearTimeout(place);
      held.clear();
      schedule();
      if (inFlight === 0 && queue.size === 0) return Promise.resolve();
      return new Promise((resolve) => {
        drained = resolve;
      });
    },
  };
}

function isDeadline(error: unknown): boolean {
  return error instanceof ServiceError && error.code === 'deadline';
}

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { ServiceError } from '../src/errors.ts';
import { createMicroBatcher, type MicroBatcherOptions } from '../src/model-server/micro-batcher.ts';

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'queueMicrotask', 'nextTick'] });
});
afterEach(() => {
  jest.useRealTimers();
});

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A batcher whose batches wait to be finished by the test. */
function heldBatcher(options: Partial<MicroBatcherOptions<number, string>> = {}) {
  const batches: {
    items: readonly number[];
    finish(): void;
    fail(error: Error): void;
    answer(outcomes: { answer: string }[]): void;
  }[] = [];
  const batcher = createMicroBatcher<number, string>({
    process: (items) =>
      new Promise((resolve, reject) => {
        batches.push({
          items,
          finish: () => resolve(items.map((item) => ({ answer: `a${item}` }))),
          answer: resolve,
          fail: reject,
        });
      }),
    maxRows: 4,
    maxInFlight: 2,
    maxQueued: 10,
    timeoutMs: 1_000,
    ...options,
  });
  return { batcher, batches };
}

it('sends what arrives in one turn together, at once, with no timer of its own', async () => {
  const { batcher, batches } = heldBatcher();
  const answers = [...batcher.submit([1]), ...batcher.submit([2, 3])];
  await turn();
  expect(batches.map((batch) => batch.items)).toEqual([[1, 2, 3]]);
  batches[0]?.finish();
  expect(await Promise.all(answers)).toEqual(['a1', 'a2', 'a3']);
  await turn();
  expect(jest.getTimerCount()).toBe(0);
});

it('sends together what waited while the batches in flight were busy, at most maxRows', async () => {
  const { batcher, batches } = heldBatcher();
  for (const item of [1, 2]) {
    void batcher.submit([item]);
    await turn();
  }
  void batcher.submit([3, 4, 5]);
  void batcher.submit([6, 7]);
  await turn();
  expect(batcher.inFlight).toBe(2);
  expect(batcher.waiting).toBe(5);
  batches[0]?.finish();
  await turn();
  await turn();
  expect(batches.map((batch) => batch.items)).toEqual([[1], [2], [3, 4, 5, 6]]);
});

it('sends no second batch beside one in flight for a few, until there are enough or they waited long', async () => {
  const { batcher, batches } = heldBatcher({ maxInFlight: 3, maxRows: 8, beside: { rows: 3, afterMs: 20 } });
  const sent = () => batches.map((batch) => batch.items);
  void batcher.submit([1]);
  await turn();
  void batcher.submit([2, 3]);
  await turn();
  expect(sent()).toEqual([[1]]);
  void batcher.submit([4]);
  await turn();
  expect(sent()).toEqual([[1], [2, 3, 4]]);
  void batcher.submit([5]);
  await turn();
  jest.advanceTimersByTime(19);
  await turn();
  expect(sent()).toHaveLength(2);
  jest.advanceTimersByTime(1);
  await turn();
  expect(sent()).toEqual([[1], [2, 3, 4], [5]]);
  void batcher.submit([6]);
  for (const batch of batches) batch.finish();
  await turn();
  await turn();
  expect(sent()).toEqual([[1], [2, 3, 4], [5], [6]]);
});

it('takes as many as a batch holds for enough', async () => {
  const { batcher, batches } = heldBatcher({ maxRows: 2, beside: { rows: 100, afterMs: 20 } });
  void batcher.submit([1]);
  await turn();
  void batcher.submit([2, 3]);
  await turn();
  expect(batches).toHaveLength(2);
});

it('refuses what does not fit in the queue, whole, as overloaded', async () => {
  const { batcher } = heldBatcher({ maxInFlight: 1, maxRows: 1, maxQueued: 3 });
  void batcher.submit([1]);
  await turn();
  void batcher.submit([2, 3]);
  expect(() => batcher.submit([4, 5])).toThrow(expect.objectContaining({ code: 'overloaded', retryAfterSeconds: 1 }));
  expect(batcher.waiting).toBe(2);
});

it('drops what a caller who left was waiting for', async () => {
  const { batcher, batches } = heldBatcher({ maxInFlight: 1 });
  void batcher.submit([1]);
  await turn();
  const caller = new AbortController();
  const [left] = batcher.submit([2], caller.signal);
  const [stayed] = batcher.submit([3]);
  caller.abort();
  await expect(left).rejects.toMatchObject({ code: 'deadline' });
  batches[0]?.finish();
  await turn();
  await turn();
  expect(batches[1]?.items).toEqual([3]);
  batches[1]?.finish();
  expect(await stayed).toBe('a3');
});

it('ends what waits too long, in the queue or in flight, with deadline', async () => {
  const { batcher, batches } = heldBatcher({ maxInFlight: 1 });
  const [inFlight] = batcher.submit([1]);
  await turn();
  const [queued] = batcher.submit([2]);
  jest.advanceTimersByTime(1_000);
  await expect(inFlight).rejects.toMatchObject({ code: 'deadline' });
  await expect(queued).rejects.toMatchObject({ code: 'deadline' });
  batches[0]?.finish();
  await turn();
  expect(batches).toHaveLength(1);
});

describe('no waiter hangs', () => {
  it('when the count is wrong', async () => {
    const { batcher, batches } = heldBatcher();
    const answers = batcher.submit([1, 2, 3]);
    await turn();
    batches[0]?.answer([{ answer: 'a1' }]);
    for (const answer of answers) await expect(answer).rejects.toMatchObject({ code: 'model_bad_answer' });
  });

  it('when the batch fails, or throws before it begins', async () => {
    const { batcher, batches } = heldBatcher();
    const [answer] = batcher.submit([1]);
    await turn();
    batches[0]?.fail(new Error('broken'));
    await expect(answer).rejects.toThrow('broken');

    const throwing = createMicroBatcher<number, string>({
      process: () => {
        throw new Error('at once');
      },
      maxRows: 1,
      maxInFlight: 1,
      maxQueued: 1,
      timeoutMs: 1_000,
    });
    await expect(throwing.submit([1])[0]).rejects.toThrow('at once');
    await expect(throwing.submit([2])[0]).rejects.toThrow('at once');
  });
});

it('finishes what waits when it closes, and takes nothing new', async () => {
  const { batcher, batches } = heldBatcher({ maxInFlight: 1 });
  const answers = [...batcher.submit([1]), ...batcher.submit([2, 3, 4, 5])];
  await turn();
  const closed = batcher.close();
  expect(() => batcher.submit([9])).toThrow(expect.objectContaining({ code: 'not_ready' }));
  for (let i = 0; i < 3; i += 1) {
    batches.at(-1)?.finish();
    await turn();
    await turn();
  }
  await closed;
  expect(await Promise.all(answers)).toEqual(['a1', 'a2', 'a3', 'a4', 'a5']);
});

describe('a batch that ended with deadline', () => {
  it('keeps its place for a while, though its callers have their answers', async () => {
    const { batcher, batches } = heldBatcher({ maxInFlight: 2, heldAfterDeadlineMs: 500 });
    const [late] = batcher.submit([1]);
    await turn();
    void batcher.submit([2]);
    await turn();
    batches[0]?.fail(new ServiceError('deadline'));
    await expect(late).rejects.toMatchObject({ code: 'deadline' });
    void batcher.submit([3]);
    await turn();
    jest.advanceTimersByTime(499);
    await turn();
    expect(batches.map((batch) => batch.items)).toEqual([[1], [2]]);
    jest.advanceTimersByTime(1);
    await turn();
    expect(batches.map((batch) => batch.items)).toEqual([[1], [2], [3]]);
  });

  it('keeps no place of a batcher that closes', async () => {
    const { batcher, batches } = heldBatcher({ maxInFlight: 1, heldAfterDeadlineMs: 500 });
    const [late] = batcher.submit([1]);
    await turn();
    const [waiting] = batcher.submit([2]);
    batches[0]?.fail(new ServiceError('deadline'));
    await expect(late).rejects.toMatchObject({ code: 'deadline' });
    await turn();
    expect(batches).toHaveLength(1);
    const closed = batcher.close();
    await turn();
    batches[1]?.finish();
    await closed;
    expect(await waiting).toBe('a2');
  });
});

it('takes nothing while there is a refusal, and ends what waits with it', async () => {
  const refused = new ServiceError('model_unavailable');
  let refusal: ServiceError | undefined;
  const { batcher, batches } = heldBatcher({ maxInFlight: 1, refusal: () => refusal });
  const [inFlight] = batcher.submit([1]);
  await turn();
  const waiting = batcher.submit([2, 3]);
  refusal = refused;
  batcher.refuseWaiting(refused);
  for (const one of waiting) await expect(one).rejects.toBe(refused);
  expect(() => batcher.submit([4])).toThrow(refused);
  expect(batcher.submit([])).toEqual([]);
  batches[0]?.finish();
  expect(await inFlight).toBe('a1');
  await turn();
  refusal = undefined;
  void batcher.submit([5]);
  await turn();
  expect(batches.map((batch) => batch.items)).toEqual([[1], [5]]);
});

it('says until when somebody waits for a batch', async () => {
  const untils: number[] = [];
  const { batcher } = heldBatcher({
    process: async (items, until) => {
      untils.push(until - performance.now());
      return items.map((item) => ({ answer: `a${item}` }));
    },
  });
  await Promise.all(batcher.submit([1]));
  expect(untils).toEqual([1_000]);
});

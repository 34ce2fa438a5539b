import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { ServiceError } from '../src/errors.ts';
import { RowsRefused } from '../src/model-server/model-server-client.ts';
import {
  createRetries,
  createRetryBudget,
  jitteredBackoffMs,
  ModelUnavailable,
  readRetryAfter,
} from '../src/model-server/retries.ts';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.restoreAllMocks();
  jest.useRealTimers();
});

const away = (askedMs?: number) => new ModelUnavailable({ reason: 'away', ...(askedMs !== undefined && { askedMs }) });
const stale = () => new ModelUnavailable({ reason: 'closed', isStale: true });

/** Calls whose attempts end as listed and then with an answer; when each attempt was made, and how the call ended. */
function call(retries: ReturnType<typeof createRetries>, ends: Error[], withinMs: number | undefined = 10_000) {
  const startedAt = performance.now();
  const rest = [...ends];
  const attemptsMs: number[] = [];
  const attempt = async () => {
    attemptsMs.push(performance.now() - startedAt);
    const end = rest.shift();
    if (end) throw end;
    return 'answer';
  };
  const seen: { attemptsMs: number[]; end: unknown } = { attemptsMs, end: undefined };
  const until = withinMs === 0 ? undefined : startedAt + withinMs;
  void retries.run(attempt, until).then(
    (answer) => (seen.end = answer),
    (error: unknown) => (seen.end = error),
  );
  return seen;
}

it('makes three attempts at most, each after a longer wait', async () => {
  jest.spyOn(Math, 'random').mockReturnValue(0.5);
  const recovered = call(createRetries(), [away(), away()]);
  const lost = call(createRetries(), [away(), away(), away(), away()]);
  await jest.advanceTimersByTimeAsync(1_000);
  expect(recovered).toEqual({ attemptsMs: [0, 50, 150], end: 'answer' });
  expect(lost).toEqual({ attemptsMs: [0, 50, 150], end: expect.objectContaining({ code: 'model_unavailable' }) });
});

it('waits anything from nothing to 100 and 200 ms', () => {
  for (const [attempt, most] of [
    [1, 100],
    [2, 200],
  ] as const) {
    expect(jitteredBackoffMs(attempt, () => 0)).toBe(0);
    expect(jitteredBackoffMs(attempt, () => 1)).toBe(most);
    const waits = Array.from({ length: 1_000 }, () => jitteredBackoffMs(attempt));
    for (const quarter of [0, 1, 2, 3]) {
      const within = waits.filter((ms) => Math.floor((ms / most) * 4) === quarter);
      expect(within.length).toBeGreaterThan(150);
    }
  }
});

it.each([
  new ServiceError('deadline'),
  new ServiceError('model_bad_answer'),
  new ServiceError('model_untrusted'),
  new RowsRefused('400'),
])('does not retry %s', async (fault) => {
  const seen = call(createRetries(), [fault]);
  await jest.advanceTimersByTimeAsync(1_000);
  expect(seen).toEqual({ attemptsMs: [0], end: fault });
});

describe('Retry-After', () => {
  it('is waited for, when that is in time', async () => {
    const seen = call(createRetries(), [away(3_000)]);
    await jest.advanceTimersByTimeAsync(2_999);
    expect(seen.attemptsMs).toHaveLength(1);
    await jest.advanceTimersByTimeAsync(101);
    expect(seen.end).toBe('answer');
  });

  it('beyond the deadline means no retry, and no wait', async () => {
    const seen = call(createRetries(), [away(3_000)], 3_000);
    await jest.advanceTimersByTimeAsync(0);
    expect(seen).toEqual({ attemptsMs: [0], end: expect.objectContaining({ retryAfterSeconds: 3 }) });
  });

  it.each([
    ['7', 7_000],
    ['0', 0],
    ['0.5', 500],
    ['3600', 30_000],
    ['1e9', 30_000],
    ['-5', 0],
    ['Tue, 24 Nov 2026 01:00:09 GMT', 9_000],
    ['Tue, 24 Nov 2026 03:00:00 GMT', 30_000],
    ['Mon, 23 Nov 2026 03:00:00 GMT', 0],
    ['soon', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%j is %j ms', (header, askedMs) => {
    expect(readRetryAfter(header, Date.parse('2026-11-24T01:00:00Z'))).toBe(askedMs);
  });
});

describe('the budget', () => {
  /** So many calls within a minute, ten a second or more, each ending as `fault` does however often it is made. */
  async function attemptsOfAMinute(calls: number, fault: (attempt: number) => Error) {
    const retries = createRetries();
    let attempts = 0;
    for (let made = 0; made < calls; made += 1) {
      const attempt = async () => {
        attempts += 1;
        throw fault(attempts);
      };
      retries.run(attempt, performance.now() + 10_000).catch(() => {});
      await jest.advanceTimersByTimeAsync(60_000 / calls);
    }
    await jest.advanceTimersByTimeAsync(1_000);
    return attempts;
  }

  it.each([100, 600, 6_000])('keeps %i calls of a minute that all fail within 1.1 times as many', async (calls) => {
    for (const fault of [() => away(), () => stale(), (n: number) => (n % 2 === 0 ? stale() : away())]) {
      const attempts = await attemptsOfAMinute(calls, fault);
      expect(attempts).toBeGreaterThan(calls);
      expect(attempts).toBeLessThanOrEqual(calls * 1.1);
    }
  });

  it('is earned by answers, one retry for ten, and three are the most', () => {
    const budget = createRetryBudget();
    const takeAll = () => {
      let taken = 0;
      while (budget.take()) taken += 1;
      return taken;
    };
    const answers = (count: number) => {
      for (let i = 0; i < count; i += 1) budget.answered();
    };
    expect(takeAll()).toBe(3);
    answers(9);
    expect(takeAll()).toBe(0);
    answers(1);
    expect(takeAll()).toBe(1);
    answers(1_000);
    expect(takeAll()).toBe(3);
  });
});

describe('a kept-alive connection that was closed', () => {
  it('is replaced at once, without a deadline too', async () => {
    const seen = call(createRetries(), [stale()], 0);
    await jest.advanceTimersByTimeAsync(0);
    expect(seen).toEqual({ attemptsMs: [0, 0], end: 'answer' });
  });

  it('is one of the three attempts, and once only', async () => {
    const [twice, mixed] = [
      call(createRetries(), [stale(), stale()], 0),
      call(createRetries(), [stale(), away(), away()]),
    ];
    await jest.advanceTimersByTimeAsync(1_000);
    expect(twice.attemptsMs).toHaveLength(2);
    expect(mixed.attemptsMs).toHaveLength(3);
    expect(mixed.end).toBeInstanceOf(ModelUnavailable);
  });
});

it('makes no attempt after it was called off', async () => {
  let mayRetry = true;
  const onRetry = jest.fn();
  const seen = call(createRetries({ mayRetry: () => mayRetry, onRetry }), [away(500)]);
  await jest.advanceTimersByTimeAsync(100);
  mayRetry = false;
  await jest.advanceTimersByTimeAsync(1_000);
  expect(seen).toEqual({ attemptsMs: [0], end: expect.any(ModelUnavailable) });
  expect(onRetry).not.toHaveBeenCalled();
});

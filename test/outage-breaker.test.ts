import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { ServiceError } from '../src/errors.ts';
import { createOutageBreaker } from '../src/model-server/outage-breaker.ts';
import { memoryLogger } from './support/test-service.ts';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

const away = (retryAfterSeconds = 1) => new ServiceError('model_unavailable', { reason: 'refused', retryAfterSeconds });
const late = () => new ServiceError('deadline', { reason: 'late' });
const bad = () => new ServiceError('model_bad_answer', { reason: 'odd' });
const untrusted = () => new ServiceError('model_untrusted', { reason: 'other labels' });

/** A breaker whose probes end as `probeEnd` says, and when each was sent with which limit. */
function watched() {
  const { logger, lines } = memoryLogger();
  const startedAt = performance.now();
  const probes: { atMs: number; limitMs: number }[] = [];
  const peer: { probeEnd: Error | null } = { probeEnd: away() };
  const breaker = createOutageBreaker({
    probe: async (limitMs) => {
      probes.push({ atMs: performance.now() - startedAt, limitMs });
      if (peer.probeEnd?.message === 'late') await new Promise((resolve) => setTimeout(resolve, limitMs));
      if (peer.probeEnd) throw peer.probeEnd;
    },
    timeoutMs: 10_000,
    logger,
  });
  const ends = async (...faults: (Error | null)[]) => {
    for (const fault of faults)
      await breaker
        .call(async () => {
          if (fault) throw fault;
        })
        .catch(() => {});
  };
  return { breaker, probes, peer, ends, lines, logger };
}

describe('opens', () => {
  it('after five calls in a row that were not answered', async () => {
    const { breaker, ends } = watched();
    await ends(away(), late(), away(), late());
    expect(breaker.outage()).toBeNull();
    await ends(away());
    expect(breaker.outage()).toMatchObject({ reason: 'refused' });
    breaker.close();
  });

  it('after three of them that took the whole timeout', async () => {
    const { breaker, ends } = watched();
    await ends(late(), late());
    expect(breaker.outage()).toBeNull();
    await ends(late());
    expect(breaker.outage()).not.toBeNull();
    breaker.close();
  });

  it.each([null, bad(), untrusted(), new Error('RowsRefused')])('not when %s comes in between', async (answer) => {
    const { breaker, ends } = watched();
    for (let i = 0; i < 10; i += 1) await ends(away(), late(), away(), late(), answer);
    expect(breaker.outage()).toBeNull();
    expect(jest.getTimerCount()).toBe(0);
  });
});

describe('while it is open', () => {
  it('refuses calls without making them, tells once, and says when to come again', async () => {
    const { breaker, ends, lines, logger } = watched();
    const told: ServiceError[] = [];
    breaker.onOutage((refusal) => told.push(refusal));
    await ends(...Array.from({ length: 8 }, () => away(4)));
    const work = jest.fn(async () => {});
    await expect(breaker.call(work)).rejects.toMatchObject({ code: 'model_unavailable', retryAfterSeconds: 4 });
    expect(work).not.toHaveBeenCalled();
    expect(told).toEqual([expect.objectContaining({ code: 'model_unavailable', retryAfterSeconds: 4 })]);
    await jest.advanceTimersByTimeAsync(2_500);
    expect(breaker.refusal()?.retryAfterSeconds).toBe(2);
    await jest.advanceTimersByTimeAsync(60_000);
    expect(lines.map((line) => (JSON.parse(line) as { level: number }).level)).toEqual([logger.levels.values['warn']]);
    breaker.close();
  });

  it('sends a probe each second, one at a time', async () => {
    const { breaker, probes, ends } = watched();
    await ends(away(), away(), away(), away(), away());
    await jest.advanceTimersByTimeAsync(3_500);
    expect(probes).toEqual([1_000, 2_000, 3_000].map((atMs) => ({ atMs, limitMs: 1_000 })));
    breaker.close();
    await jest.advanceTimersByTimeAsync(10_000);
    expect(probes).toHaveLength(3);
  });

  it('gives a probe more time after each that was not answered in its own, up to a whole call', async () => {
    const { breaker, probes, peer, ends } = watched();
    peer.probeEnd = late();
    await ends(late(), late(), late());
    await jest.advanceTimersByTimeAsync(45_000);
    expect(probes.map(({ limitMs }) => limitMs)).toEqual([1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000]);
    expect(probes.slice(1).map(({ atMs }, i) => atMs - (probes[i]?.atMs ?? 0) - (probes[i]?.limitMs ?? 0))).toEqual(
      Array(6).fill(1_000),
    );
    breaker.close();
  });

  it('waits as long as the model server asks for, and at most 5 s', async () => {
    const { breaker, probes, peer, ends } = watched();
    peer.probeEnd = away(3);
    await ends(away(), away(), away(), away(), away(30));
    expect(breaker.refusal()?.retryAfterSeconds).toBe(5);
    await jest.advanceTimersByTimeAsync(9_000);
    expect(probes.map(({ atMs }) => atMs)).toEqual([5_000, 8_000]);
    breaker.close();
  });
});

describe('closes', () => {
  it.each([null, bad(), untrusted()])('when a probe ends with %s, and lets calls through', async (answer) => {
    const { breaker, peer, probes, ends, lines } = watched();
    await ends(away(), away(), away(), away(), away());
    await jest.advanceTimersByTimeAsync(2_500);
    peer.probeEnd = answer;
    await jest.advanceTimersByTimeAsync(500);
    expect(breaker.outage()).toBeNull();
    expect(await breaker.call(async () => 'label')).toBe('label');
    await jest.advanceTimersByTimeAsync(60_000);
    expect(probes).toHaveLength(3);
    expect(lines).toHaveLength(2);
    await ends(away(), away(), away(), away());
    expect(breaker.outage()).toBeNull();
  });

  it('when a call that was under way is answered after all', async () => {
    const { breaker, ends } = watched();
    const { promise, resolve } = Promise.withResolvers<void>();
    const slow = breaker.call(() => promise);
    await ends(away(), away(), away(), away(), away());
    expect(breaker.outage()).not.toBeNull();
    resolve();
    await slow;
    expect(breaker.outage()).toBeNull();
    expect(jest.getTimerCount()).toBe(0);
  });
});

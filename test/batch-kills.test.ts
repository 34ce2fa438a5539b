import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { readContract } from '../src/contract/contract.ts';
import { createLastingDatabase, databaseKinds } from './support/databases.ts';
import {
  chunksInHand,
  countKept,
  hasEnded,
  readProgress,
  readResults,
  rowsDone,
  sendList,
  untilList,
} from './support/list-caller.ts';
import { longList } from './support/long-list.ts';
import { createServiceStarter } from './support/service-process.ts';

const isLong = process.env['LONG_TESTS'] === '1';
const rows = isLong ? 200_000 : 40_000;
const kills = isLong ? 20 : 3;
const contract = readContract('config/rfc_tune/contract.json');
const list = longList(contract, rows);

const { start, endAll } = createServiceStarter();
afterEach(endAll);

describe.each(await databaseKinds())('a list of %s', (kind) => {
  it(
    `goes on after each of ${kills} kills, and each row is labelled once`,
    async () => {
      await using database = await createLastingDatabase(kind);
      const random = seededRandom(kind.length);
      let service = await start(database.environment);
      const untilGoingOn: number[] = [];
      const ids: string[] = [];
      let done = 0;
      let id: string | undefined;
      let number = 0;
      for (let killed = 0; killed < kills; killed += 1) {
        if (id === undefined || hasEnded(await readProgress(service.url, id))) {
          ({ id } = await sendList(service.url, csvOf(number), `list-${number}`));
          ids.push(id);
          number += 1;
          done = 0;
        }
        const before = await readProgress(service.url, id);
        // Now and then before it went on at all
        await sleep(random() * 2_500);
        await service.end('SIGKILL');
        const restartedAt = performance.now();
        service = await start(database.environment);
        const back = await readProgress(service.url, id);
        expect(rowsDone(back)).toBeGreaterThanOrEqual(rowsDone(before));
        done = rowsDone(back);
        if (hasEnded(back) || (isLong && random() < 0.3)) continue;
        await untilList(service.url, id, (progress) => rowsDone(progress) > done || hasEnded(progress));
        untilGoingOn.push((performance.now() - restartedAt) / 1_000);
      }
      for (const one of ids) {
        const ended = await untilList(service.url, one, hasEnded);
        expect(ended).toMatchObject({ state: 'partially_succeeded', reason: null });
        expect(ended.rows).toEqual({
          total: rows,
          labelled: rows - list.refused,
          rejected: list.refused,
          duplicates: list.repeated,
        });
      }
      const results = await Promise.all(ids.map((one) => readResults(service.url, one)));
      await service.end('SIGTERM');
      const kept = await countKept(database.environment);
      expect(kept).toMatchObject({ batches: ids.length, active: 0, done: kept.chunks });
      expect(kept.current).toBe(ids.length * (rows - list.refused - list.repeated));
      expect(kept.history).toBe(ids.length * list.repeated);
      expect(kept.repeats).toBeLessThanOrEqual(kills * chunksInHand);

      // The same without a kill
      service = await start(database.environment);
      const { id: undisturbed } = await sendList(service.url, csvOf(0), 'undisturbed');
      await untilList(service.url, undisturbed, hasEnded);
      const expected = await readResults(service.url, undisturbed);
      for (const [i, text] of results.entries()) {
        expect(text === expected.replaceAll('\nL0-', `\nL${i}-`)).toBe(true);
        const found = text
          .split('\n')
          .slice(1, -1)
          .map((line) => line.slice(0, line.indexOf(',')));
        expect(found.join() === longList(contract, rows, `L${i}-`).ids.join()).toBe(true);
      }
      await service.end('SIGTERM');
      console.log(
        `${kind}: ${kills} kills over ${ids.length} lists of ${rows} rows (${kept.chunks} chunks): ${kept.repeats} chunks begun again, ` +
          `seconds from the restart until a list went on: ${untilGoingOn.map((s) => s.toFixed(1)).join(', ')}`,
      );
      for (const seconds of untilGoingOn) expect(seconds).toBeLessThanOrEqual(20);
    },
    180_000 + kills * 30_000,
  );
});

const csvs = new Map<number, Buffer>();
function csvOf(number: number): Buffer {
  const csv = csvs.get(number) ?? longList(contract, rows, `L${number}-`).csv;
  csvs.set(number, csv);
  return csv;
}

/** Mulberry32: the same in every run. */
function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

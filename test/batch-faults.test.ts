import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { readContract } from '../src/contract/contract.ts';
import { createLastingDatabase, databaseKinds } from './support/databases.ts';
import {
  chunksInHand,
  askDatabase,
  countKept,
  hasEnded,
  type Kept,
  readProgress,
  readResults,
  rowsDone,
  sendList,
  untilList,
} from './support/list-caller.ts';
import { longList } from './support/long-list.ts';
import { createServiceStarter } from './support/service-process.ts';
import { until } from './support/until.ts';

const isLong = process.env['LONG_TESTS'] === '1';
const rows = isLong ? 200_000 : 60_000;
const contract = readContract('config/rfc_tune/contract.json');
const list = longList(contract, rows);
const accepted = rows - list.refused;

const { start, endAll } = createServiceStarter();
afterEach(endAll);

const kinds = await databaseKinds();

/** Every row has its one state, and nothing was written by a second writer. */
function expectWhole(kept: Kept) {
  expect(kept).toMatchObject({ active: 0, done: kept.chunks });
  expect(kept.current).toBe(accepted - list.repeated);
  expect(kept.history).toBe(list.repeated);
}

async function expectEnded(url: string, id: string) {
  const ended = await untilList(url, id, hasEnded);
  expect(ended).toMatchObject({ state: 'partially_succeeded', reason: null });
  expect(ended.rows).toEqual({ total: rows, labelled: accepted, rejected: list.refused, duplicates: list.repeated });
  const lines = (await readResults(url, id)).split('\n').slice(1, -1);
  expect(lines.map((line) => line.slice(0, line.indexOf(','))).join() === list.ids.join()).toBe(true);
}

describe.each(kinds)('on %s', (kind) => {
  it('a service that is told to stop ends with 0 in time, and the next one goes on at once', async () => {
    await using database = await createLastingDatabase(kind);
    // Few chunks at once, so that the stop comes amid the list
    const first = await start({ ...database.environment, MODEL_SERVER_CONCURRENCY: '1' });
    const { id } = await sendList(first.url, list.csv, 'stopped');
    // Somebody watches it
    const watching = fetch(`${first.url}/v1/batches/${id}/events`).then((response) => response.text());
    await untilList(first.url, id, (progress) => rowsDone(progress) > 0);
    const { status, seconds } = await first.end('SIGTERM');
    await watching.catch(() => {});
    expect(status).toBe(0);
    // Who watches is not waited for; a call to the model server may take 10 s
    expect(seconds).toBeLessThan(13);
    const between = await countKept(database.environment);
    expect(between).toMatchObject({ active: 0, repeats: 0 });
    expect(between.done).toBeLessThan(between.chunks);

    const second = await start(database.environment);
    const startedAt = performance.now();
    const { rows: before } = await readProgress(second.url, id);
    const done = before.labelled + before.rejected;
    await untilList(second.url, id, (progress) => rowsDone(progress) > done || hasEnded(progress));
    const untilGoingOn = (performance.now() - startedAt) / 1_000;
    await expectEnded(second.url, id);
    await second.end('SIGTERM');
    const kept = await countKept(database.environment);
    expectWhole(kept);
    expect(kept.repeats).toBe(0);
    console.log(
      `${kind}, SIGTERM: ended in ${seconds.toFixed(1)} s with ${between.done} of ${kept.chunks} chunks done, none begun again; ` +
        `went on ${untilGoingOn.toFixed(1)} s after the next start`,
    );
    expect(untilGoingOn).toBeLessThan(8);
  }, 180_000);

  it('nothing is left of an upload whose client was killed', async () => {
    await using database = await createLastingDatabase(kind);
    const folder = mkdtempSync(join(tmpdir(), 'upload-'));
    const file = join(folder, 'list.csv');
    writeFileSync(file, list.csv);
    const service = await start(database.environment);
    const words = ['-s', '--limit-rate', '3M', '-H', 'Content-Type: text/csv', '-H', 'Idempotency-Key: cut'];
    const client = spawn('curl', [...words, '-T', file, '-X', 'POST', `${service.url}/v1/batches`], {
      stdio: 'ignore',
    });
    await sleep(1_200);
    expect(client.exitCode).toBeNull();
    client.kill('SIGKILL');
    await once(client, 'exit');
    rmSync(folder, { recursive: true });
    // The key is free again as soon as nothing is left
    await until(async () => {
      const sent = await sendList(service.url, Buffer.from(list.csv.subarray(0, 20_000)), 'cut').catch(() => undefined);
      return sent !== undefined;
    }, 200);
    await service.end('SIGTERM');
    expect(await countKept(database.environment)).toMatchObject({ batches: 1, chunks: 1 });
  }, 60_000);

  it('nothing is left of an upload whose service was killed, once nobody has sent any more of it', async () => {
    await using database = await createLastingDatabase(kind);
    const first = await start(database.environment);
    const upload = slowly(list.csv, 20);
    const sent = fetch(`${first.url}/v1/batches`, {
      method: 'POST',
      headers: { 'Content-Type': 'text/csv', 'Idempotency-Key': 'killed' },
      body: upload,
      duplex: 'half',
    }).catch(() => undefined);
    await sleep(1_500);
    await first.end('SIGKILL');
    expect(await sent).toBeUndefined();
    const left = await countKept(database.environment).catch(() => undefined);
    await askDatabase(database.environment, `UPDATE batches SET touched_at = touched_at - interval '3 minutes'`);
    const second = await start(database.environment);
    await until(async () => (await sendList(second.url, list.csv, 'killed').catch(() => undefined)) !== undefined, 200);
    const { batches } = (await (await fetch(`${second.url}/v1/batches`)).json()) as { batches: { id: string }[] };
    expect(batches).toHaveLength(1);
    await expectEnded(second.url, batches[0]?.id as string);
    await second.end('SIGTERM');
    const kept = await countKept(database.environment);
    expect(kept.batches).toBe(1);
    expectWhole(kept);
    console.log(`${kind}, killed while a list came in: ${left?.chunks} chunks were left of it, none after the sweep`);
  }, 120_000);
});

(kinds.includes('PostgreSQL') ? describe : describe.skip)('two instances and one PostgreSQL', () => {
  it('chunks of one that is frozen for 30 s go to the other, and it writes nothing late', async () => {
    await using database = await createLastingDatabase('PostgreSQL');
    const frozen = await start(database.environment);
    const other = await start(database.environment);
    const { id } = await sendList(other.url, list.csv, 'frozen');
    await untilList(other.url, id, (progress) => rowsDone(progress) > 0);
    frozen.process.kill('SIGSTOP');
    const frozenAt = performance.now();
    const ended = await untilList(other.url, id, hasEnded);
    const endedAfter = (performance.now() - frozenAt) / 1_000;
    const between = await countKept(database.environment);
    await sleep(Math.max(0, 30_000 - (performance.now() - frozenAt)));
    frozen.process.kill('SIGCONT');
    // It has had time to write what it had in hand
    await until(async () => (await fetch(`${frozen.url}/ready`).catch(() => undefined))?.status === 200, 200);
    await sleep(4_000);
    expect(await readProgress(frozen.url, id)).toEqual({ ...ended });
    await expectEnded(frozen.url, id);
    const { status } = await frozen.end('SIGTERM');
    expect(status).toBe(0);
    await other.end('SIGTERM');
    const kept = await countKept(database.environment);
    // Of a chunk that it had stored just before, the queue hears only now
    const { active: _, repeats: __, ...written } = between;
    expect(kept).toMatchObject(written);
    expectWhole(kept);
    console.log(
      `frozen for 30 s: the other ended the list ${endedAfter.toFixed(1)} s later, ${kept.repeats} chunks begun again, nothing written late`,
    );
    expect(kept.repeats).toBeLessThanOrEqual(chunksInHand);
  }, 180_000);

  it('a list ends as if nothing had been when its connections are cut again and again', async () => {
    await using database = await createLastingDatabase('PostgreSQL');
    const service = await start(database.environment);
    const { id } = await sendList(service.url, list.csv, 'cut');
    let cut = 0;
    let isOver = false;
    for (let times = 0; !isOver; times += 1) {
      expect(service.process.exitCode).toBeNull();
      // Its own connection may be cut too
      isOver = await readProgress(service.url, id).then(hasEnded, () => false);
      if (times < 40) cut += await cutConnections(database.environment);
      await sleep(150);
    }
    await expectEnded(service.url, id);
    await service.end('SIGTERM');
    const kept = await countKept(database.environment);
    expectWhole(kept);
    console.log(`${cut} connections cut in one list of ${kept.chunks} chunks: ${kept.repeats} chunks begun again`);
    expect(cut).toBeGreaterThan(5);
  }, 180_000);
});

async function cutConnections(environment: Record<string, string>): Promise<number> {
  const [row] = await askDatabase<{ count: number }>(
    environment,
    `SELECT count(pg_terminate_backend(pid))::int AS count FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid()`,
  );
  return row?.count as number;
}

/** In 100 parts, with a pause before each. */
function slowly(bytes: Buffer, everyMs: number): ReadableStream<Uint8Array> {
  const part = Math.ceil(bytes.length / 100);
  let at = 0;
  return new ReadableStream({
    async pull(controller) {
      await sleep(everyMs);
      if (at >= bytes.length) controller.close();
      else controller.enqueue(new Uint8Array(bytes.subarray(at, at + part)));
      at += part;
    },
  });
}

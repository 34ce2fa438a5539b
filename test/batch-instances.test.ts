import { randomUUID } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { createBatchStore } from '../src/batches/batch-store.ts';
import { createDatabase } from '../src/database/database.ts';
import { createTestDatabase, databaseKinds } from './support/databases.ts';
import { startGate } from './support/gate.ts';
import { fetchList, labelList, sendList, toyLabelOf, toyList, untilEnded } from './support/lists.ts';
import { startStandIn } from './support/stand-in-model-server.ts';
import { silentLogger, startTestService } from './support/test-service.ts';
import { toyContract } from './support/toy-model.ts';
import { until } from './support/until.ts';

const kinds = await databaseKinds();
const onPostgres = kinds.includes('PostgreSQL') ? describe : describe.skip;
const rows = 40_000;

onPostgres('several instances on one PostgreSQL', () => {
  it('share the work on a list, and every row is labelled once', async () => {
    await using database = await createTestDatabase('PostgreSQL');
    await using first = await startStandIn();
    await using second = await startStandIn();
    for (const one of [first, second]) {
      const answer = one.respond;
      one.respond = async (call, reply) => {
        if (call.vectors.length > 1_000) await new Promise((resolve) => setTimeout(resolve, 300));
        return answer(call, reply);
      };
    }
    const options = { on: database, contract: toyContract() };
    await using one = await startTestService({ ...options, modelServer: first.address });
    await using other = await startTestService({ ...options, modelServer: second.address });
    const ended = await labelList(one, toyList(rows));
    expect(ended).toMatchObject({ state: 'succeeded', rows: { total: rows, labelled: rows, duplicates: 0 } });
    const counts = [first, second].map(({ calls }) => calls.filter(({ vectors }) => vectors.length > 1_000).length);
    expect(Math.min(...counts)).toBeGreaterThan(0);
    // Each chunk was scored once
    expect((counts[0] as number) + (counts[1] as number)).toBe(Math.ceil(rows / 4_096));
    const lines = (await fetchList(other, `${ended.id}/results`)).bytes.toString().trimEnd().split('\n').slice(1);
    expect(
      lines.filter((line, row) => line.split(';')[0] === `C${row}` && line.split(';')[4] === toyLabelOf(row)),
    ).toHaveLength(rows);
    const { body } = await other.http.get('/v1/customers/C39999/labels').expect(200);
    expect(body.labels).toHaveLength(1);
  }, 90_000);

  it('wait for the database when it is away for a moment, and no attempt is used up', async () => {
    await using database = await createTestDatabase('PostgreSQL');
    await using gate = await startGate();
    await using standIn = await startStandIn();
    const direct = new URL(database.environment['DATABASE_URL'] as string);
    const led = new URL(direct);
    led.host = `127.0.0.1:${gate.port}`;
    gate.target = Number(direct.port || 5432);
    const answer = standIn.respond;
    standIn.respond = async (call, reply) => {
      if (call.vectors.length > 1_000) await new Promise((resolve) => setTimeout(resolve, 500));
      return answer(call, reply);
    };
    await using test = await startTestService({
      on: { environment: { DATABASE_URL: led.href }, [Symbol.asyncDispose]: async () => {} },
      contract: toyContract(),
      modelServer: standIn.address,
    });
    const { body } = await sendList(test, toyList(rows)).expect(202);
    const target = gate.target;
    await until(() => standIn.calls.some(({ vectors }) => vectors.length > 1_000));
    gate.target = null;
    gate.drop();
    await test.http.get('/health').expect(200);
    expect((await test.http.get(`/v1/batches/${body.id}`)).status).toBe(503);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    gate.target = target;
    await until(async () => (await test.http.get(`/v1/batches/${body.id}`)).status === 200);
    expect(await untilEnded(test, body.id)).toMatchObject({ state: 'succeeded', rows: { labelled: rows } });
    const client = new pg.Client({ connectionString: direct.href });
    await client.connect();
    const jobs = await client.query('SELECT max(retry_count)::int AS tries FROM customer_labels_jobs.job');
    await client.end();
    expect(jobs.rows[0].tries).toBeLessThanOrEqual(1);
  }, 90_000);
});

describe.each(kinds)('lists on %s', (kind) => {
  it('are forgotten when they ended long ago, and uploads when nobody sends them any more', async () => {
    await using made = await createTestDatabase(kind);
    const { DATABASE_URL: url = null, DATA_DIR: dataDir = '' } = made.environment;
    const database = createDatabase({ settings: { url, dataDir }, logger: silentLogger });
    await database.migrate();
    const store = createBatchStore(database.queries);
    const now = Date.now();
    const ids = { old: randomUUID(), recent: randomUUID(), silent: randomUUID(), coming: randomUUID() };
    for (const [name, id] of Object.entries(ids)) {
      const created = new Date(name === 'silent' ? now - 600_000 : now);
      await store.create({ id, key: name, now: created, silentSince: new Date(0) });
    }
    // The same upload again, while the one before may go on, and once it is silent
    const again = { id: randomUUID(), key: 'silent', now: new Date(now) };
    expect(await store.create({ ...again, silentSince: new Date(now - 3_600_000) })).toMatchObject({ id: ids.silent });
    expect(await store.create({ ...again, silentSince: new Date(now - 45_000) })).toBeUndefined();
    await store.remove(again.id);
    const piece = { body: Buffer.from('x'), firstLine: 2, firstRow: 0, lines: 1, rows: 1 };
    await store.addChunk(ids.old, 0, piece);
    await store.cancel(ids.old, new Date(now - 2 * 86_400_000));
    await store.cancel(ids.recent, new Date(now - 3_600_000));
    await store.sweep({ touchedBefore: new Date(now - 120_000), endedBefore: new Date(now - 86_400_000) });
    const left = await store.list({ limit: 10 });
    expect(left.map(({ id }) => id).sort()).toEqual([ids.recent, ids.coming].sort());
    const { rows: chunks } = await database.run('SELECT number FROM batch_chunks WHERE number >= $1', [0]);
    expect(chunks).toEqual([]);
    // Its sender comes back: the list is gone, and says so
    await expect(store.addChunk(ids.silent, 0, piece)).rejects.toThrow();
    await database.close();
  }, 60_000);
});

import { afterAll, afterEach, beforeAll, beforeEach, expect, it, describe } from '@jest/globals';
import { databaseKinds } from './support/databases.ts';
import { fetchList, progressOf, sendList, toyList, untilEnded, untilState } from './support/lists.ts';
import { type StandIn, startStandIn } from './support/stand-in-model-server.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { golden, narrowVersion, shiftedToy, toyLabel, type ToyModel, toyVersion } from './support/toy-model.ts';
import { until } from './support/until.ts';

const seven = toyVersion('7', toyLabel);
const eight = toyVersion('8', shiftedToy(0.6), 176);
const narrow = narrowVersion();

describe.each(await databaseKinds())('lists and versions on %s', (database) => {
  let standIn: StandIn;
  let served: ToyModel;
  let test: TestService;
  let hold: Promise<unknown> | undefined;
  beforeAll(async () => {
    standIn = await startStandIn();
    standIn.respond = async (call, reply) => {
      if (call.vectors.length > golden + 1) await hold;
      try {
        reply(call.vectors.map(served));
      } catch {
        call.response.writeHead(400).end('{}');
      }
    };
  });
  afterAll(async () => {
    await standIn[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    served = seven.model;
    hold = undefined;
  });
  afterEach(async () => {
    await test[Symbol.asyncDispose]();
  });

  const label = (id: string, features: Record<string, number>) =>
    test.http.post(`/v1/customers/${id}/label`).send({ features });
  const versionOf = async (id: string) =>
    (await test.http.get(`/v1/customers/${id}/label`).expect(200)).body.model.version;

  it('labels every stale customer again from what is stored, and nobody else', async () => {
    test = await startTestService({
      database,
      contracts: [seven.contract, eight.contract],
      modelServer: standIn.address,
    });
    for (let i = 0; i < 30; i += 1) await label(`S${i}`, { height: 150 + i, visits: i % 8, vip: i % 2 }).expect(200);
    served = eight.model;
    for (let i = 0; i < 5; i += 1) await label(`F${i}`, { height: 170, visits: 4, vip: 0 }).expect(200);
    const fresh = (await test.http.get('/v1/customers/F0/label').expect(200)).body.labelledAt;

    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    hold = released;
    const calls = standIn.calls.length;
    const { body } = await sendList(test, '{"from":"stored"}', { type: 'application/json', key: 'again' }).expect(202);
    expect(body.rows.total).toBe(30);
    await until(() => standIn.calls.slice(calls).some(({ vectors }) => vectors.length > golden + 1));
    // Newer features come while the list is with the model server
    hold = undefined;
    const newer = await label('S3', { height: 199, visits: 0, vip: 1 }).expect(200);
    release();
    const ended = await untilEnded(test, body.id);
    expect(ended).toMatchObject({ state: 'succeeded', rows: { total: 30, labelled: 30 }, modelVersions: { 8: 30 } });
    for (let i = 0; i < 30; i += 1) expect(await versionOf(`S${i}`)).toBe('8');
    const kept = (await test.http.get('/v1/customers/S3/label').expect(200)).body;
    expect([kept.label, kept.labelledAt]).toEqual([newer.body.label, newer.body.labelledAt]);
    expect((await test.http.get('/v1/customers/F0/label').expect(200)).body.labelledAt).toBe(fresh);

    const lines = (await fetchList(test, `${body.id}/results`)).bytes.toString().trimEnd().split('\n');
    expect(lines).toHaveLength(30);
    expect(JSON.parse(lines[0] as string)).toMatchObject({ line: 1, customerId: 'S0', version: '8' });

    const same = await sendList(test, '{"from":"stored"}', { type: 'application/json', key: 'again' }).expect(202);
    expect(same.body.id).toBe(body.id);
    const none = await sendList(test, '{"from":"stored"}', { type: 'application/json' }).expect(202);
    expect(none.body).toMatchObject({ state: 'succeeded', rows: { total: 0, duplicates: 0 } });
  }, 60_000);

  it('labels stored standardised features again by what they are in the units of the ERP', async () => {
    test = await startTestService({
      database,
      contracts: [seven.contract, eight.contract],
      modelServer: standIn.address,
    });
    const standardized = { height: 1.5, visits: 0.5, vip: 1 };
    await test.http.post('/v1/customers/Z1/label').send({ scale: 'standardized', features: standardized }).expect(200);
    served = eight.model;
    await label('Z2', { height: 170, visits: 4, vip: 0 }).expect(200);
    const calls = standIn.calls.length;
    const { body } = await sendList(test, '{"from":"stored"}', { type: 'application/json' }).expect(202);
    expect(await untilEnded(test, body.id)).toMatchObject({ rows: { total: 1, labelled: 1 }, modelVersions: { 8: 1 } });
    // 185 cm, where version 8 has a mean of 176 and a scale of 5
    const asked = standIn.calls.slice(calls).flatMap(({ vectors }) => vectors.slice(-1));
    expect(asked).toContainEqual([expect.closeTo(1.8, 12), 0.5, 1]);
    const { body: kept } = await test.http.get('/v1/customers/Z1/label').expect(200);
    expect(kept).toMatchObject({ label: eight.model([1.8, 0.5, 1]), model: { version: '8' } });
  }, 60_000);

  it('waits while another version wants other features, holds up no other list, and goes on when it fits', async () => {
    test = await startTestService({
      database,
      contracts: [seven.contract, narrow.contract],
      modelServer: standIn.address,
      environment: { MODEL_SERVER_CONCURRENCY: '1' },
    });
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    hold = released;
    const { body } = await sendList(test, toyList(40_000)).expect(202);
    await untilState(test, body.id, 'running');
    served = narrow.model;
    release();
    await until(async () => (await progressOf(test, body.id)).reason === 'contract_changed', 100);
    expect(await progressOf(test, body.id)).toMatchObject({ state: 'waiting', rows: { labelled: 0 } });

    const other = await sendList(test, 'id;height;visits\nO1;190;2\nO2;150;6\n').expect(202);
    expect(await untilEnded(test, other.body.id)).toMatchObject({ state: 'succeeded', modelVersions: { 10: 2 } });
    // Results need no contract that fits
    const cancelled = await sendList(test, 'id;height;visits\nO3;190;2\n').expect(202);
    await untilEnded(test, cancelled.body.id);

    served = seven.model;
    const ended = await untilEnded(test, body.id);
    expect(ended).toMatchObject({ state: 'succeeded', reason: null, rows: { labelled: 40_000 } });
    expect(ended.modelVersions).toEqual({ 7: 40_000 });
    const results = await fetchList(test, `${other.body.id}/results`);
    expect([results.status, results.bytes.toString().split('\n')[1]]).toEqual([200, 'O1;190;2;high;high;;10;']);
    const wide = (await fetchList(test, `${body.id}/results`)).bytes.toString().trimEnd().split('\n');
    expect(wide).toHaveLength(40_001);
  }, 90_000);
});

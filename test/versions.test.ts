import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { goldenVector } from '../src/contract/scaling.ts';
import { type StandIn, startStandIn } from './support/stand-in-model-server.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import {
  narrowVersion,
  shiftedToy,
  toyLabel,
  type ToyModel,
  type ToyVersion,
  toyVersion,
} from './support/toy-model.ts';

const cautious = shiftedToy(0.6);
const seven = toyVersion('7', toyLabel);
const eight = toyVersion('8', cautious, 176);
const sameScaler = toyVersion('9', cautious);

/** What this version says of a customer, scaled as it wants to be. */
const labelBy = ({ contract, model }: ToyVersion, features: Record<string, number>) =>
  model(goldenVector(contract, { features, label: '' }));

const people = Array.from({ length: 60 }, (_, i) => ({
  id: `P${i}`,
  features: { height: 150 + ((i * 7) % 45), visits: i % 8, vip: i % 2 },
}));

let standIn: StandIn;
let served: () => ToyModel;
beforeAll(async () => {
  standIn = await startStandIn();
  standIn.respond = ({ vectors }, reply) => {
    const model = served();
    reply(vectors.map((vector) => model(vector)));
  };
});
afterAll(async () => {
  await standIn[Symbol.asyncDispose]();
});
beforeEach(() => {
  served = () => seven.model;
  standIn.calls.length = 0;
});

const start = (...versions: ToyVersion[]) =>
  startTestService({ contracts: versions.map(({ contract }) => contract), modelServer: standIn.address });
const guardOf = async (test: TestService) => (await test.http.get('/v1/model').expect(200)).body.guard;

it('answers by the version that made the call, scaled for it, the moment it is served', async () => {
  await using test = await start(seven, eight);
  const differing = people.filter(({ features }) => labelBy(seven, features) !== labelBy(eight, features));
  expect(differing.length).toBeGreaterThan(5);
  for (const [now, name] of [
    [seven, '7'],
    [eight, '8'],
    [seven, '7'],
  ] as const) {
    served = () => now.model;
    for (const { id, features } of differing.slice(0, 4)) {
      const { body } = await test.http.post(`/v1/customers/${id}/label`).send({ features }).expect(200);
      expect(body).toMatchObject({ label: labelBy(now, features), model: { version: name } });
      const stored = await test.http.get(`/v1/customers/${id}/label`).expect(200);
      expect(stored.body).toMatchObject({ label: labelBy(now, features), model: { version: name } });
      expect(stored.body.freshness).toEqual({ stale: false });
    }
    const { body } = await test.http.get('/v1/model').expect(200);
    expect(body).toMatchObject({ version: name, contract: { model: { version: name } } });
  }
  expect(test.log().match(/"to":"proved","version":"8"/g)).toHaveLength(1);
});

it('repeats a call once when its rows were scaled for another version, and not when both scale alike', async () => {
  for (const [newer, calls] of [
    [eight, 2],
    [sameScaler, 1],
  ] as const) {
    served = () => seven.model;
    await using test = await start(seven, newer);
    const { id, features } = people[3] as (typeof people)[number];
    await test.http.post(`/v1/customers/${id}/label`).send({ features }).expect(200);
    standIn.calls.length = 0;
    served = () => newer.model;
    const { body } = await test.http.post(`/v1/customers/${id}/label`).send({ features }).expect(200);
    expect(body.label).toBe(labelBy(newer, features));
    expect(standIn.calls).toHaveLength(calls);
    await test.http.post(`/v1/customers/${id}/label`).send({ features }).expect(200);
    expect(standIn.calls).toHaveLength(calls + 1);
  }
});

it('mixes nothing while two versions answer in turn', async () => {
  await using test = await start(seven, eight);
  let calls = 0;
  const order = [eight, eight, seven, eight, seven, seven, seven, eight];
  served = () => (order[calls++ % order.length] as ToyVersion).model;
  const byName: Record<string, ToyVersion> = { 7: seven, 8: eight };
  const seen = new Set<string>();
  for (let round = 0; round < 4; round += 1) {
    const answers = await Promise.all([
      ...people.slice(0, 30).map(({ id, features }) => test.http.post(`/v1/customers/${id}/label`).send({ features })),
      test.http.post('/v1/labels').send({ customers: people.slice(30) }),
    ]);
    const labels = answers.flatMap(({ status, body }) => {
      expect(status).toBe(200);
      return body.labels ?? [body];
    });
    expect(labels).toHaveLength(people.length);
    for (const { customerId, label, model } of labels) {
      seen.add(model.version);
      const person = people.find(({ id }) => id === customerId) as (typeof people)[number];
      expect({ customerId, label }).toEqual({
        customerId,
        label: labelBy(byName[model.version] as ToyVersion, person.features),
      });
      const stored = await test.http.get(`/v1/customers/${customerId}/label`).expect(200);
      expect(stored.body).toMatchObject({ label, model });
    }
  }
  expect([...seen].sort()).toEqual(['7', '8']);
});

it('refuses a version that nobody knows, and stores nothing of it', async () => {
  await using test = await start(seven, eight);
  served = () => (vector) => toyLabel(vector.map((value) => -value));
  const { features } = people[1] as (typeof people)[number];
  const refused = await test.http.post('/v1/customers/X/label').send({ features }).expect(503);
  expect(refused.body.code).toBe('model_untrusted');
  await test.http.get('/v1/customers/X/label').expect(404);
  expect((await guardOf(test)).state).toBe('untrusted');
});

it('says so when no golden row tells two versions apart, and goes on labelling', async () => {
  const twin = toyVersion('8', toyLabel);
  await using test = await start(seven, twin);
  const { features } = people[1] as (typeof people)[number];
  const { body } = await test.http.post('/v1/customers/T/label').send({ features }).expect(200);
  expect(body.model.version).toBe('7');
  expect(await guardOf(test)).toMatchObject({ state: 'proved', cannotTell: ['8'] });
  const ready = await test.http.get('/ready').expect(200);
  expect(ready.body).toMatchObject({ overall: 'warn', checks: { modelServer: { version: '7', cannotTell: ['8'] } } });
});

describe('a version with other features', () => {
  const narrow = narrowVersion();

  it('is found when the rows of the expected one are refused', async () => {
    const respond = standIn.respond;
    standIn.respond = (call, reply) => {
      try {
        return respond(call, reply);
      } catch {
        call.response.writeHead(400).end('{}');
      }
    };
    await using test = await start(seven, narrow);
    served = () => narrow.model;
    const features = { height: 190, visits: 2 };
    await test.http.post('/v1/customers/N/label').send({ features: { ...features, vip: 1 } });
    const { body } = await test.http.post('/v1/customers/N/label').send({ features }).expect(200);
    expect(body).toMatchObject({ label: narrow.model([2, -1]), model: { version: '10' } });
    standIn.respond = respond;
  });
});

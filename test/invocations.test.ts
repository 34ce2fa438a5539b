import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { seedCustomers, seedRequest } from './support/seed.ts';
import { startTestService, type TestService } from './support/test-service.ts';

let test: TestService;
beforeAll(async () => {
  test = await startTestService();
});
afterAll(async () => {
  await test[Symbol.asyncDispose]();
});

const names = Object.keys(seedCustomers.stays.byName);
const reversed = (row: readonly number[]) => row.toReversed();

it("answers the seed's request byte for byte as MLflow does, and stores nothing", async () => {
  const answer = await test.http.post('/invocations').send(seedRequest).expect(200);
  expect(answer.text).toBe('{"predictions": [0, 1]}');
  const { body } = await test.http.get('/v1/labels').expect(200);
  expect(body.labels).toEqual([]);
});

it.each([
  ['instances', { instances: seedRequest.inputs }],
  ['dataframe_split without columns', { dataframe_split: { data: seedRequest.inputs } }],
  [
    'dataframe_split with numbered columns',
    { dataframe_split: { columns: names.map((_n, i) => i), data: seedRequest.inputs } },
  ],
  ['dataframe_split with named columns', { dataframe_split: { columns: names, data: seedRequest.inputs } }],
  [
    'named columns in another order, which are put in order',
    { dataframe_split: { columns: names.toReversed(), data: seedRequest.inputs.map(reversed) } },
  ],
  [
    'records, their keys in any order',
    {
      dataframe_records: seedRequest.inputs.map((row) =>
        Object.fromEntries(names.map((name, i) => [name, row[i]] as const).toReversed()),
      ),
    },
  ],
])('takes %s', async (_format, body) => {
  const answer = await test.http.post('/invocations').send(body).expect(200);
  expect(answer.body).toEqual({ predictions: [0, 1] });
});

it('takes more rows than one call to the model server', async () => {
  const inputs = Array.from({ length: 1_500 }, (_, i) => seedRequest.inputs[i % 2]);
  const answer = await test.http.post('/invocations').send({ inputs }).expect(200);
  expect(answer.body.predictions).toEqual(inputs.map((_row, i) => i % 2));
});

it('answers /ping and /version as MLflow does', async () => {
  const ping = await fetch(`${test.url}/ping`);
  expect([ping.status, await ping.text()]).toEqual([200, '\n']);
  const version = await fetch(`${test.url}/version`);
  expect(await version.text()).toMatch(/^\d+\.\d+\.\d+$/);
});

import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { readContract, readOnnx } from '../src/contract/contract.ts';
import {
  type EmbeddedModelServer,
  startEmbeddedModelServer,
} from '../src/embedded-model-server/embedded-model-server.ts';
import { createCaller, inParallel } from './support/caller.ts';
import { createLastingDatabase } from './support/databases.ts';
import { type Gate, startGate } from './support/gate.ts';
import { startStandIn } from './support/stand-in-model-server.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { until } from './support/until.ts';

const contractFile = 'config/rfc_tune/contract.json';
const contract = readContract(contractFile);
const timeoutMs = 1_000;

/** The committed forest as server 2: real labels behind a gate that can be shut. */
let server2: EmbeddedModelServer;
let gate: Gate;
const server2Port = () => Number(new URL(server2.address.url).port);

beforeAll(async () => {
  server2 = await startEmbeddedModelServer({
    onnx: readOnnx(contract, contractFile),
    featureNames: contract.features.map(({ name }) => name),
  });
  gate = await startGate();
  gate.target = server2Port();
});
afterEach(() => {
  gate.target = server2Port();
});
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  await server2.close();
});

const start = (environment: Record<string, string> = {}) =>
  startTestService({
    modelServer: { ...server2.address, url: `https://127.0.0.1:${gate.port}` },
    environment: {
      MODEL_SERVER_URL: `https://127.0.0.1:${gate.port}`,
      MODEL_SERVER_TIMEOUT_MS: String(timeoutMs),
      OUTAGE_FALLBACK: 'embedded',
      ...environment,
    },
  });

const features = (i: number) => contract.goldenRows[i % contract.goldenRows.length]?.features as Record<string, number>;
const ask = (test: TestService, id: string, i = 0) =>
  test.http.post(`/v1/customers/${id}/label`).send({ features: features(i) });
const checks = async (test: TestService) => (await test.http.get('/ready').expect(200)).body;
const shut = () => {
  gate.target = null;
  gate.drop();
};

it('answers from the copy while server 2 is away, says so everywhere, and has server 2 label again', async () => {
  await using test = await start();
  expect((await ask(test, 'before').expect(200)).body.source).toBe('model-server');
  expect(await checks(test)).toMatchObject({ overall: 'pass', checks: { modelServer: { fallback: 'ready' } } });

  shut();
  const { body } = await ask(test, 'meanwhile', 1).expect(200);
  expect(body).toMatchObject({
    label: contract.goldenRows[1]?.label,
    source: 'embedded',
    model: { version: contract.model.version },
    freshness: { stale: false },
  });
  expect(body.probability).toBeDefined();
  const many = await test.http
    .post('/v1/labels')
    .send({ customers: [0, 1, 2].map((i) => ({ id: `many-${i}`, features: features(i) })) })
    .expect(200);
  expect(many.body.labels.map(({ source }: { source: string }) => source)).toEqual(Array(3).fill('embedded'));
  await test.http
    .post('/invocations')
    .send({ inputs: [contract.features.map(() => 0)] })
    .expect(200);
  const refused = await test.http.post('/v1/customers/bad/label').send({ features: { nothing: 1 } });
  expect(refused.status).toBe(422);
  await until(async () => {
    await ask(test, 'meanwhile', 1).expect(200);
    return (await checks(test)).checks.modelServer.outage !== null;
  });
  const during = await checks(test);
  expect(during.overall).toBe('warn');
  expect(during.checks.modelServer.outage.reason).toContain('the embedded copy of the version proved last labels them');
  const { text } = await test.http.get('/metrics');
  expect(text).toMatch(/^customer_labels_labels_total\{.*source="embedded".*\} \d+$/m);
  expect(text).toMatch(/^customer_labels_refused_in_outage_total 0$/m);

  gate.target = server2Port();
  const now = async (id: string) => (await test.http.get(`/v1/customers/${id}/label`).expect(200)).body;
  const ids = ['meanwhile', 'many-0', 'many-1', 'many-2'];
  await until(async () => (await Promise.all(ids.map(now))).every(({ source }) => source === 'model-server'));
  const history = await test.http.get('/v1/customers/meanwhile/labels').expect(200);
  expect(history.body.labels.map(({ source, changed }: Record<string, unknown>) => [source, changed])).toEqual([
    ['model-server', null],
    ['embedded', null],
  ]);
  expect((await checks(test)).overall).toBe('pass');
});

it('answers within the deadline while server 2 says nothing at all', async () => {
  await using test = await start();
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  gate.target = (silent.address() as AddressInfo).port;
  gate.drop();
  const startedAt = performance.now();
  const answers = await Promise.all([0, 1, 2, 3].map((i) => ask(test, `silent-${i}`, i)));
  expect(performance.now() - startedAt).toBeLessThan(timeoutMs + 500);
  expect(answers.map(({ status, body }) => `${status} ${body.source}`)).toEqual(Array(4).fill('200 embedded'));
  silent.close();
});

it('fails none of 64 callers over an outage and its end', async () => {
  await using test = await start();
  using caller = createCaller(test.url, 64);
  const seen = new Map<string, number>();
  const over = new AbortController();
  const asking = inParallel(Array(64).keys(), 64, async (lane) => {
    for (let i = 0; !over.signal.aborted; i += 1) {
      const { status, text } = await caller.ask(
        'POST',
        `/v1/customers/lane-${lane}-${i % 50}/label`,
        JSON.stringify({ features: features(lane + i) }),
      );
      const what = `${status} ${(JSON.parse(text) as { source: string }).source}`;
      seen.set(what, (seen.get(what) ?? 0) + 1);
      await sleep(20);
    }
  });
  await until(() => (seen.get('200 model-server') ?? 0) > 500);
  shut();
  await until(() => (seen.get('200 embedded') ?? 0) > 500);
  gate.target = server2Port();
  const back = seen.get('200 model-server') as number;
  await until(() => (seen.get('200 model-server') as number) > back + 500);
  over.abort();
  await asking;
  console.log(Object.fromEntries(seen));
  expect(new Set(seen.keys())).toEqual(new Set(['200 model-server', '200 embedded']));
});

it('knows after a restart amid the outage which version was proved last, and labels again what was left', async () => {
  await using database = await createLastingDatabase('PostgreSQL');
  {
    await using test = await start(database.environment);
    await ask(test, 'before').expect(200);
    shut();
    await ask(test, 'left', 3).expect(200);
  }
  await using test = await start(database.environment);
  expect((await ask(test, 'after-the-restart', 2).expect(200)).body.source).toBe('embedded');
  gate.target = server2Port();
  const sourceOf = async (id: string) => (await test.http.get(`/v1/customers/${id}/label`).expect(200)).body.source;
  await until(async () => (await sourceOf('left')) === 'model-server');
});

it('answers nothing for a version that was never proved', async () => {
  shut();
  await using test = await start();
  const { body } = await ask(test, 'first').expect(503);
  expect(body.code).toBe('model_unavailable');
});

it('is no help, and warns before the outage, where the version has no copy', async () => {
  await using test = await startTestService({
    contract: { ...contract, onnx: null },
    modelServer: { ...server2.address, url: `https://127.0.0.1:${gate.port}` },
    environment: { MODEL_SERVER_URL: 'https://127.0.0.1:1', OUTAGE_FALLBACK: 'embedded' },
  });
  const { body } = await ask(test, 'before').expect(200);
  expect(body).not.toHaveProperty('probability');
  expect(await checks(test)).toMatchObject({ overall: 'warn', checks: { modelServer: { fallback: 'no_copy' } } });
  shut();
  await ask(test, 'meanwhile').expect(503);
});

it('does not stand in for a server 2 that answers wrongly', async () => {
  await using test = await start();
  await using wrong = await startStandIn();
  wrong.respond = ({ vectors }, reply) => reply(vectors.map(() => 0));
  await using other = await startTestService({
    modelServer: wrong.address,
    environment: { MODEL_SERVER_URL: wrong.address.url, OUTAGE_FALLBACK: 'embedded' },
  });
  expect((await ask(other, 'one').expect(503)).body.code).toBe('model_untrusted');
  expect((await ask(test, 'one').expect(200)).body.source).toBe('model-server');
});

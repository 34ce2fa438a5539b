import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createAuthority, isOpensslThere } from './support/certificates.ts';
import { gauge, readiness, untilRegistry } from './support/registry-check.ts';
import { freePort } from './support/real-mlflow.ts';
import {
  bytes,
  dripping,
  endless,
  json,
  named,
  silence,
  type StandInRegistry,
  startStandInRegistry,
  text,
} from './support/stand-in-registry.ts';
import { type StandIn, startStandIn } from './support/stand-in-model-server.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { toyContract, toyCustomer, toyLabel } from './support/toy-model.ts';

const registryLines = (test: TestService) =>
  test
    .log()
    .split('\n')
    .filter((line) => line.includes('"model registry"'))
    .map((line) => JSON.parse(line));
const levels = { info: 30, warn: 40 };

let modelServer: StandIn;
beforeAll(async () => {
  modelServer = await startStandIn();
});
afterAll(async () => {
  await modelServer[Symbol.asyncDispose]();
});

const startWith = (registryUrl: string, options: Parameters<typeof startTestService>[0] = {}) =>
  startTestService({
    contract: toyContract(),
    modelServer: modelServer.address,
    registryEveryMs: 20,
    ...options,
    environment: { MLFLOW_TRACKING_URI: registryUrl, ...options.environment },
  });

describe('a promotion that is not live', () => {
  it('is warned of everywhere while calls prove the old version, costs no label, and is cleared', async () => {
    await using registry = await startStandInRegistry();
    await using test = await startWith(registry.url);
    expect(await untilRegistry(test, ({ state }) => state === 'up')).toMatchObject({ version: '7', promotion: 'live' });
    expect((await readiness(test)).overall).toBe('pass');
    expect(await gauge(test, 'customer_labels_promotion_not_live')).toBe('0');
    expect(await gauge(test, 'customer_labels_registry_up')).toBe('1');

    const before = Date.now();
    registry.respond = named('8');
    const alarm = await untilRegistry(test, ({ promotion }) => promotion === 'not_live');
    expect(alarm).toMatchObject({ state: 'up', version: '8', promotionReason: expect.stringMatching(/8.*7.*restart/) });
    expect(Date.parse(alarm.versionSince as string)).toBeGreaterThanOrEqual(before);
    const ready = await test.http.get('/ready').expect(200);
    expect(ready.body.overall).toBe('warn');
    expect(ready.text.replace('"overall":"warn"', '')).not.toMatch(/pass|warn|fail/i);
    expect(await gauge(test, 'customer_labels_promotion_not_live')).toBe('1');
    const { body: label } = await test.http.post('/v1/customers/C1/label').send(toyCustomer()).expect(200);
    expect(label).toMatchObject({ model: { version: '7' }, freshness: { stale: false } });
    const { body: model } = await test.http.get('/v1/model').expect(200);
    expect(model).toMatchObject({
      version: '7',
      registry: { version: '8', runId: 'run-8', f1: 0.84, isLive: false, promotion: 'not_live' },
    });

    registry.respond = named('7');
    await untilRegistry(test, ({ promotion }) => promotion === 'live');
    expect((await readiness(test)).overall).toBe('pass');
    expect(await gauge(test, 'customer_labels_promotion_not_live')).toBe('0');
    expect((await test.http.get('/v1/model')).body.registry).toMatchObject({ version: '7', isLive: true });
    expect(registryLines(test).map(({ level, promotion }) => [level, promotion])).toEqual([
      [levels.info, 'live'],
      [levels.warn, 'not_live'],
      [levels.info, 'live'],
    ]);
  });

  it('stays warned of while the registry is away, which makes nothing live', async () => {
    await using registry = await startStandInRegistry();
    registry.respond = named('8');
    await using test = await startWith(registry.url);
    const { versionSince } = await untilRegistry(test, ({ promotion }) => promotion === 'not_live');
    registry.respond = bytes('');
    expect(await untilRegistry(test, ({ state }) => state === 'away')).toMatchObject({
      promotion: 'not_live',
      versionSince,
    });
    expect(await gauge(test, 'customer_labels_promotion_not_live')).toBe('1');
    expect(await gauge(test, 'customer_labels_registry_up')).toBe('0');
  });

  it('is no such thing once the model server runs another model: then nobody knows which', async () => {
    await using registry = await startStandInRegistry();
    await using own = await startStandIn();
    registry.respond = named('8');
    await using test = await startWith(registry.url, { modelServer: own.address });
    await untilRegistry(test, ({ promotion }) => promotion === 'not_live');
    own.respond = ({ vectors }, reply) => reply(vectors.map((vector) => toyLabel(vector.toReversed())));
    await test.http.post('/v1/customers/C1/label').send(toyCustomer()).expect(503);
    expect((await readiness(test)).checks.registry).toMatchObject({
      promotion: 'unknown',
      promotionReason: expect.stringMatching(/8.*7.*proves neither/),
    });
    expect(await gauge(test, 'customer_labels_promotion_not_live')).toBe('0');
  });

  it('cannot be known when the contract names no version, and says so without an alarm', async () => {
    await using registry = await startStandInRegistry();
    const contract = toyContract();
    contract.model.version = null;
    await using test = await startWith(registry.url, { contract });
    const check = await untilRegistry(test, ({ state }) => state === 'up');
    expect(check).toMatchObject({
      promotion: 'unknown',
      promotionReason: expect.stringMatching(/contract names none/),
    });
    expect((await readiness(test)).overall).toBe('pass');
    expect((await test.http.get('/v1/model')).body.registry).toMatchObject({ version: '7', isLive: null });
    expect(await gauge(test, 'customer_labels_promotion_not_live')).toBe('0');
  });
});

it('asks for the model, stage or alias that the settings name', async () => {
  await using registry = await startStandInRegistry();
  registry.respond = named('7', { name: 'churn & co', current_stage: 'staging' });
  await using byStage = await startWith(registry.url, {
    environment: { MODEL_NAME: 'churn & co', MODEL_STAGE: 'Staging' },
  });
  await untilRegistry(byStage, ({ state }) => state === 'up');
  expect(registry.asked[0]).toMatch(
    /\/api\/2\.0\/mlflow\/registered-models\/get-latest-versions\?name=churn(\+|%20)%26(\+|%20)co&stages=Staging$/,
  );
  registry.asked = [];
  registry.respond = named('7', { current_stage: 'None', run_id: '' });
  await using byAlias = await startWith(`${registry.url}/`, { environment: { MODEL_ALIAS: 'champion' } });
  expect(await untilRegistry(byAlias, ({ state }) => state === 'up')).toMatchObject({ promotion: 'live' });
  expect(registry.asked.filter((asked) => asked.includes('alias'))[0]).toMatch(
    /\/registered-models\/alias\?name=toy&alias=champion$/,
  );
  expect((await byAlias.http.get('/v1/model')).body.registry).toMatchObject({ runId: null, f1: null, isLive: true });
});

it('reads the score of a run once, and does without it when it cannot', async () => {
  await using registry = await startStandInRegistry();
  const good = named('7');
  registry.respond = (call) => (call.path.endsWith('/runs/get') ? text('no', 500)(call) : good(call));
  await using test = await startWith(registry.url);
  await untilRegistry(test, ({ state }) => state === 'up');
  expect((await test.http.get('/v1/model')).body.registry).toMatchObject({ isLive: true, runId: 'run-7', f1: null });
  registry.respond = good;
  for (let f1: number | null = null; f1 === null;) f1 = (await test.http.get('/v1/model')).body.registry.f1;
  registry.asked = [];
  while (registry.asked.length < 4) await sleep(10);
  expect(registry.asked.filter((asked) => asked.includes('runs/get'))).toEqual([]);
});

describe('a registry that is no good is a warning, and labels go on', () => {
  let registry: StandInRegistry;
  let trap: StandInRegistry;
  let test: TestService;
  beforeAll(async () => {
    registry = await startStandInRegistry();
    trap = await startStandInRegistry();
    test = await startWith(registry.url);
  });
  afterAll(async () => {
    await test[Symbol.asyncDispose]();
    await trap[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
  });

  const entry = { name: 'toy', version: '9', current_stage: 'Production', run_id: 'r' };
  const missing = { error_code: 'RESOURCE_DOES_NOT_EXIST', message: 'SECRET' };
  it.each<[string, StandInRegistry['respond'], string, RegExp]>([
    ['another model', named('9', { name: 'other' }), 'bad_answer', /another model/],
    ['another stage', named('9', { current_stage: 'Archived' }), 'bad_answer', /another model or stage/],
    ['two live versions', json({ model_versions: [entry, entry] }), 'bad_answer', /cannot be read/],
    ['a version that is a word', named('fail'), 'bad_answer', /cannot be read/],
    ['a version that is a number of JSON', json({ model_versions: [{ ...entry, version: 9 }] }), 'bad_answer', /read/],
    ['a run id to climb with', named('9', { run_id: '../../x' }), 'bad_answer', /cannot be read/],
    ['broken JSON', text('{"model_versions": [{"name": "toy", '), 'bad_answer', /cannot be read/],
    ['JSON of another shape', json([[[]]]), 'bad_answer', /cannot be read/],
    ['a page of HTML', text('<html>SECRET</html>'), 'bad_answer', /cannot be read/],
    ['an error of its own', text('SECRET', 500), 'bad_answer', /answered 500/],
    ['a demand for a password', text('SECRET', 401), 'bad_answer', /answered 401/],
    ['a redirect', (call) => text('', 302, { Location: `${trap.url}/x` })(call), 'bad_answer', /answered 302/],
    ['no end', endless, 'bad_answer', /too much/],
    ['a length beyond all bounds', text('{}', 200, { 'Content-Length': '9999999999' }), 'bad_answer', /too much/],
    ['another protocol', bytes('SSH-2.0-OpenSSH_9.6\r\n\r\n'), 'bad_answer', /no proper HTTP/],
    ['nothing, and hangs up', bytes(''), 'away', /no connection/],
    ['silence', silence, 'away', /within 5000 ms/],
    ['a byte from time to time', dripping, 'away', /within 5000 ms/],
    ['that there is no such model', json(missing, 404), 'up', /no such model/],
    ['that nothing is live', json({}), 'up', /names no version/],
  ])('when it answers with %s', async (_what, respond, state, reason) => {
    registry.respond = named('7');
    await untilRegistry(test, (check) => check.state === 'up' && check.promotion === 'live');
    const linesBefore = registryLines(test).length;
    registry.respond = respond;
    for (
      let check = (await readiness(test)).checks.registry;
      check.reason === null;
      check = (await readiness(test)).checks.registry
    ) {
      const startedAt = performance.now();
      await test.http.post('/v1/customers/C1/label').send(toyCustomer()).expect(200);
      expect(performance.now() - startedAt).toBeLessThan(2_000);
    }
    const check = (await readiness(test)).checks.registry;
    expect(check).toMatchObject({ state, reason: expect.stringMatching(reason) });
    const ready = await test.http.get('/ready').expect(200);
    expect(ready.body.overall).toBe('warn');
    expect(ready.text.replace('"overall":"warn"', '')).not.toMatch(/pass|warn|fail|secret/i);
    await test.http.post('/v1/customers/C1/label').send(toyCustomer()).expect(200);
    expect(await gauge(test, 'customer_labels_promotion_not_live')).toBe('0');
    expect(await gauge(test, 'customer_labels_registry_up')).toBe(state === 'up' ? '1' : '0');
    const asked = registry.asked.length;
    if (respond !== silence && respond !== dripping) while (registry.asked.length < asked + 3) await sleep(10);
    expect(registryLines(test).length).toBe(linesBefore + 1);
    expect(registryLines(test).at(-1)).toMatchObject({ level: levels.warn, registry: state });
    expect(trap.asked).toEqual([]);
    expect(test.log()).not.toContain('SECRET');
  });
});

it('delays neither start nor stop when it is silent, and is not asked again after the stop', async () => {
  await using registry = await startStandInRegistry();
  registry.respond = silence;
  const test = await startWith(registry.url);
  expect(await readiness(test)).toMatchObject({ overall: 'pass', checks: { registry: { state: 'unread' } } });
  while (registry.asked.length === 0) await sleep(10);
  const startedAt = performance.now();
  await test[Symbol.asyncDispose]();
  expect(performance.now() - startedAt).toBeLessThan(2_000);
  expect(registry.asked).toHaveLength(1);
});

it('is away when nobody is there', async () => {
  const port = await freePort();
  await using test = await startWith(`http://127.0.0.1:${port}`);
  expect(await untilRegistry(test, ({ state }) => state === 'away')).toMatchObject({
    reason: expect.stringContaining('ECONNREFUSED'),
    version: null,
    promotion: 'unknown',
  });
  expect((await readiness(test)).overall).toBe('warn');
});

it('is not asked when it is not set, and then says so', async () => {
  await using test = await startTestService({ contract: toyContract(), modelServer: modelServer.address });
  expect(await readiness(test)).toMatchObject({ overall: 'pass', checks: { registry: { state: 'not_set' } } });
  expect((await test.http.get('/v1/model')).body.registry).toEqual({ state: 'not_set' });
  expect(await gauge(test, 'customer_labels_promotion_not_live')).toBe('0');
  expect(await gauge(test, 'customer_labels_registry_up')).toBeUndefined();
});

(isOpensslThere() ? describe : describe.skip)('over TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'registry-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('is trusted by MLFLOW_CA_FILE, and not without it', async () => {
    const authority = createAuthority(join(folder, 'ca'));
    const { cert, key } = authority.issue();
    await using registry = await startStandInRegistry({ cert, key });
    {
      await using trusting = await startWith(registry.url, { environment: { MLFLOW_CA_FILE: authority.certFile } });
      const check = await untilRegistry(trusting, ({ state }) => state !== 'unread');
      expect(check).toMatchObject({ state: 'up', promotion: 'live' });
    }
    const asked = registry.asked.length;
    await using wary = await startWith(registry.url);
    expect(await untilRegistry(wary, ({ state }) => state !== 'unread')).toMatchObject({ state: 'away' });
    expect(registry.asked).toHaveLength(asked);
  });
});

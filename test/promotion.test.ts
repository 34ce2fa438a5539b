import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createRegistryApi } from './support/mlflow-registry.ts';
import { isMlflowThere, type PlainServer, type Server2, serveAsTheSeed, startServer2 } from './support/real-mlflow.ts';
import { gauge, readiness, untilRegistry } from './support/registry-check.ts';
import { startTestService, type TestService } from './support/test-service.ts';

(isMlflowThere() ? describe : describe.skip)("a promotion in MLflow 2.1.0, with the seed's own command", () => {
  let server2: Server2;
  let scoring: PlainServer;
  let api: ReturnType<typeof createRegistryApi>;
  let test: TestService;
  let environment: Record<string, string>;
  beforeAll(async () => {
    server2 = await startServer2();
    scoring = await serveAsTheSeed(server2, 'models:/rfc_tune/Production');
    api = createRegistryApi(server2.trackingUrl);
    environment = { MODEL_CONTRACT: server2.contractFile, MLFLOW_TRACKING_URI: server2.trackingUrl };
    const modelServer = { ...server2.address, url: scoring.url };
    test = await startTestService({ modelServer, environment, registryEveryMs: 200 });
  }, 240_000);
  afterAll(async () => {
    await test?.[Symbol.asyncDispose]();
    await scoring?.[Symbol.asyncDispose]();
    await server2?.[Symbol.asyncDispose]();
  });

  const shown = async () => (await test.http.get('/v1/model').expect(200)).body.registry;
  const label = (id: string) =>
    test.http.post(`/v1/customers/${id}/label`).send({ features: test.contract.goldenRows[9]?.features });
  const doctor = async () => {
    const settings = { ...environment, MODEL_SERVER_URL: scoring.url, MODEL_SERVER_CA_FILE: server2.caFile };
    const options = { env: { ...process.env, ...settings, DATA_DIR: 'memory://' } };
    return (await promisify(execFile)(process.execPath, ['src/cli/main.ts', 'doctor'], options)).stdout;
  };

  it('is live at first, with the run of the contract and what it scored', async () => {
    await untilRegistry(test, ({ promotion }) => promotion === 'live');
    const { runId } = server2.contract.model;
    expect(await shown()).toMatchObject({ version: '1', runId, isLive: true });
    expect((await shown()).f1).toBeGreaterThan(0);
    expect((await readiness(test)).overall).toBe('pass');
    expect(await doctor()).toMatch(
      /ok +registry +rfc_tune version 1 is live, and calls prove it; run \w+, F1 0\.\d{3}/,
    );
  });

  it('raises the alarm when another version is promoted, which this server never reads', async () => {
    const { runId } = server2.contract.model;
    const second = await api.createVersion('rfc_tune', `runs:/${runId}/model`, runId as string);
    await api.promote('rfc_tune', second);
    const check = await untilRegistry(test, ({ promotion }) => promotion === 'not_live');
    expect(check).toMatchObject({ version: '2', promotionReason: expect.stringMatching(/2 live.*version 1/) });
    expect((await readiness(test)).overall).toBe('warn');
    expect(await gauge(test, 'customer_labels_promotion_not_live')).toBe('1');
    const { body } = await label('during').expect(200);
    expect(body.model.version).toBe('1');
    expect(await doctor()).toMatch(
      /note +registry[^\n]*version 2 live[^\n]*version 1[^\n]*\n +→ See in server 2's status/,
    );
  }, 60_000);

  it('clears it when the old version is promoted back', async () => {
    await api.promote('rfc_tune', '1');
    await untilRegistry(test, ({ promotion }) => promotion === 'live');
    expect((await readiness(test)).overall).toBe('pass');
    expect(await gauge(test, 'customer_labels_promotion_not_live')).toBe('0');
    await label('after').expect(200);
  });

  it.each([
    ['an alias, which it does not know', { MODEL_ALIAS: 'champion' }, 'bad_answer', /no aliases.*MODEL_STAGE/],
    ['a model that is not there', { MODEL_NAME: 'none' }, 'up', /no such model/],
    ['a stage that is not there', { MODEL_STAGE: 'Live' }, 'up', /no such stage/],
    ['a stage without a version', { MODEL_STAGE: 'Staging' }, 'up', /names no version/],
  ])('says so when it is asked for %s', async (_what, asked, state, reason) => {
    const modelServer = { ...server2.address, url: scoring.url };
    await using other = await startTestService({ modelServer, environment: { ...environment, ...asked } });
    const check = await untilRegistry(other, (one) => one.state !== 'unread');
    expect(check).toMatchObject({ state, version: null, reason: expect.stringMatching(reason) });
    expect((await readiness(other)).overall).toBe('warn');
  });
});

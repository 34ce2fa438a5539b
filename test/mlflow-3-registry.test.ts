import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { isMlflow3There, startMlflow3Registry } from './support/mlflow-3.ts';
import { createRegistryApi } from './support/mlflow-registry.ts';
import { gauge, readiness, untilRegistry } from './support/registry-check.ts';
import { registered } from './support/stand-in-artifacts.ts';
import { type StandIn, startStandIn } from './support/stand-in-model-server.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { shiftedToy, toyContract, toyCustomer, toyVersion } from './support/toy-model.ts';
import { until } from './support/until.ts';

(isMlflow3There() ? describe : describe.skip)('the registry of the newest MLflow 3, over TLS', () => {
  let registry: Awaited<ReturnType<typeof startMlflow3Registry>>;
  let api: ReturnType<typeof createRegistryApi>;
  let modelServer: StandIn;
  let test: TestService;
  let runIds: string[];
  let environment: Record<string, string>;
  beforeAll(async () => {
    registry = await startMlflow3Registry();
    api = createRegistryApi(registry.url, registry.caFile);
    await api.createModel('segments');
    runIds = [await api.createRun({ f1_score: 0.75 }), await api.createRun({ accuracy: 0.9 })];
    for (const runId of runIds) await api.createVersion('segments', 's3://models/segments', runId);
    await api.setAlias('segments', 'champion', '1');
    modelServer = await startStandIn();
    environment = {
      MLFLOW_TRACKING_URI: registry.url,
      MLFLOW_CA_FILE: registry.caFile,
      MODEL_NAME: 'segments',
      MODEL_ALIAS: 'champion',
    };
    const contract = toyContract();
    contract.model.version = '1';
    test = await startTestService({
      contract,
      modelServer: modelServer.address,
      registryEveryMs: 100,
      environment,
    });
  }, 120_000);
  afterAll(async () => {
    await test?.[Symbol.asyncDispose]();
    await modelServer?.[Symbol.asyncDispose]();
    await registry?.[Symbol.asyncDispose]();
  });

  const shown = async () => (await test.http.get('/v1/model').expect(200)).body.registry;

  it('names the live version by its alias, with its run and score', async () => {
    expect(await untilRegistry(test, ({ state }) => state !== 'unread')).toMatchObject({ state: 'up', version: '1' });
    expect(await shown()).toMatchObject({ isLive: true, runId: runIds[0], f1: 0.75 });
  });

  it('is compared with what calls prove when the alias moves, and when it moves back', async () => {
    await api.setAlias('segments', 'champion', '2');
    await untilRegistry(test, ({ promotion }) => promotion === 'not_live');
    expect(await shown()).toMatchObject({ version: '2', isLive: false, runId: runIds[1], f1: null });
    expect(await gauge(test, 'customer_labels_promotion_not_live')).toBe('1');
    await test.http.post('/v1/customers/C1/label').send(toyCustomer()).expect(200);
    await api.setAlias('segments', 'champion', '1');
    await untilRegistry(test, ({ promotion }) => promotion === 'live');
    expect(await gauge(test, 'customer_labels_promotion_not_live')).toBe('0');
  });

  it('gives the contracts of its versions, as the alias moves', async () => {
    const versions = ['1', '2'].map((number) => toyVersion(number, shiftedToy(number === '1' ? 0 : 0.6)));
    for (const [i, version] of versions.entries()) {
      version.contract.model.name = 'segments';
      const runId = runIds[i] as string;
      for (const [path, body] of Object.entries(registered(version, { runId }).artifacts))
        await api.logArtifact(runId, path, Buffer.from(body));
    }
    await using follower = await startTestService({
      modelServer: modelServer.address,
      registryEveryMs: 100,
      environment: { ...environment, MODEL_CONTRACT: 'registry' },
    });
    const known = async () => (await readiness(follower)).checks.registry.contracts.known;
    expect(await known()).toEqual(['1', '2']);
    await api.setAlias('segments', 'champion', '2');
    await until(async () => String(await known()) === '2,1');
    await follower.http.post('/v1/customers/C1/label').send(toyCustomer()).expect(200);
    expect((await readiness(follower)).checks.modelServer).toMatchObject({ version: '1' });
    modelServer.respond = ({ vectors }, reply) => reply(vectors.map(shiftedToy(0.6)));
    const { body } = await follower.http.post('/v1/customers/C1/label').send(toyCustomer()).expect(200);
    expect(body.model).toEqual({ name: 'segments', version: '2' });
    expect((await readiness(follower)).checks.registry.contracts.unusable).toEqual([]);
  });

  it('names nothing when the alias is gone', async () => {
    await api.deleteAlias('segments', 'champion');
    const check = await untilRegistry(test, ({ version }) => version === null);
    expect(check).toMatchObject({ state: 'up', reason: expect.stringMatching(/no such (model or )?alias/) });
  });
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach } from '@jest/globals';
import { readiness } from './registry-check.ts';
import { type Registered, registered, registryOf } from './stand-in-artifacts.ts';
import { type StandIn, startStandIn } from './stand-in-model-server.ts';
import { type RegistryCall, type StandInRegistry, startStandInRegistry } from './stand-in-registry.ts';
import { startTestService, type TestService } from './test-service.ts';
import { shiftedToy, toyCustomer, toyLabel, toyVersion } from './toy-model.ts';
import { until } from './until.ts';

export const three = toyVersion('3', shiftedToy(-0.5));
export const four = toyVersion('4', toyLabel);
export const five = toyVersion('5', shiftedToy(0.6), 176);
export const six = toyVersion('6', shiftedToy(1.1));

/** Nothing is kept. */
export const inMemory = { DATA_DIR: 'memory://' };

/** For each test a registry with version 4 live and 3 archived, a folder, and a model server that runs `served`. */
export function useToyRegistry() {
  let modelServer: StandIn;
  beforeAll(async () => {
    modelServer = await startStandIn();
    modelServer.respond = ({ vectors }, reply) => reply(vectors.map((vector) => toys.served.model(vector)));
  });
  afterAll(async () => {
    await modelServer[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    toys.served = four;
    toys.versions = [registered(four, { stage: 'Production' }), registered(three, { stage: 'Archived' })];
    toys.registry = await startStandInRegistry();
    toys.registry.respond = registryOf(() => toys.versions);
    toys.dataDir = mkdtempSync(join(tmpdir(), 'versions-'));
  });
  afterEach(async () => {
    await toys.registry[Symbol.asyncDispose]();
    rmSync(toys.dataDir, { recursive: true, force: true });
  });

  const toys = {
    registry: undefined as unknown as StandInRegistry,
    versions: [] as Registered[],
    served: four,
    dataDir: '',

    start: (environment: Record<string, string> = {}, registryEveryMs = 30) =>
      startTestService({
        modelServer: modelServer.address,
        registryEveryMs,
        environment: {
          MODEL_CONTRACT: 'registry',
          MLFLOW_TRACKING_URI: toys.registry.url,
          MLFLOW_ALLOW_HTTP: 'true',
          MODEL_NAME: 'toy',
          DATA_DIR: toys.dataDir,
          ...environment,
        },
      }),
    artifactsAsked: () => toys.registry.asked.filter((asked) => asked.startsWith('/get-artifact')),
    change(version: string, changes: Partial<Registered>) {
      toys.versions = toys.versions.map((one) => (one.version === version ? { ...one, ...changes } : one));
    },
    editContract(version: string, edit: (contract: Record<string, object>) => object) {
      const { artifacts } = toys.versions.find((one) => one.version === version) as Registered;
      const contract = edit(JSON.parse(artifacts['contract/contract.json'] as string));
      toys.change(version, { artifacts: { ...artifacts, 'contract/contract.json': JSON.stringify(contract) } });
    },
    /** Answers an artifact of a version otherwise. */
    artifact(version: string, respond: StandInRegistry['respond'], path = 'contract.json') {
      const good = registryOf(() => toys.versions);
      toys.registry.respond = (call: RegistryCall) =>
        call.path === '/get-artifact' &&
        call.query.get('run_uuid') === `run-${version}` &&
        call.query.get('path') === `contract/${path}`
          ? respond(call)
          : good(call);
    },
  };
  return toys;
}

const contractsOf = async (test: TestService) => (await readiness(test)).checks.registry.contracts;
export const known = async (test: TestService): Promise<string[]> => (await contractsOf(test)).known;
export const unusable = async (test: TestService): Promise<object[]> => (await contractsOf(test)).unusable;
export const untilKnown = (test: TestService, ...numbers: string[]) =>
  until(async () => String(await known(test)) === String(numbers));

export const label = async (test: TestService, id: string) =>
  (await test.http.post(`/v1/customers/${id}/label`).send(toyCustomer()).expect(200)).body;

/** The lines that the log has of the registry's versions. */
export const linesOf = (test: TestService) =>
  test
    .log()
    .split('\n')
    .filter((line) => line.includes('"model versions"'))
    .map((line) => JSON.parse(line));

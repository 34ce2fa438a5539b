import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Contract, readContract } from '../src/contract/contract.ts';
import { goldenVector } from '../src/contract/scaling.ts';
import { type Gate, startGate } from './support/gate.ts';
import { createRegistryApi } from './support/mlflow-registry.ts';
import { madeUp, predictWith } from './support/model-server-suite.ts';
import { isMlflowThere, runPython, type Server2, serveAsTheSeed, startServer2 } from './support/real-mlflow.ts';
import { readiness, untilRegistry } from './support/registry-check.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { startTlsRegistry, type TlsRegistry } from './support/tls-registry.ts';
import { until } from './support/until.ts';

const callers = 6;
const startupMs = 300_000;

interface Answer {
  status: number;
  row: Record<string, number>;
  label: number;
  version: string;
}

(isMlflowThere() ? describe : describe.skip)('contracts from the registry of MLflow 2.1.0, over TLS', () => {
  const parts = new AsyncDisposableStack();
  let server2: Server2;
  let registry: TlsRegistry;
  let gate: Gate;
  let environment: Record<string, string>;
  let out: string;
  let test: TestService;
  let second: Contract;

  const portOf = (url: string) => Number(new URL(url).port);
  const start = () => startTestService({ registryEveryMs: 500, environment });
  const known = async (): Promise<string[]> => (await readiness(test)).checks.registry.contracts.known;
  const serve = async (version: string) =>
    portOf(parts.use(await serveAsTheSeed(server2, `models:/rfc_tune/${version}`)).url);
  const doctor = async () => {
    const env = { ...process.env, ...environment };
    return (await promisify(execFile)(process.execPath, ['src/cli/main.ts', 'doctor'], { env })).stdout;
  };

  /** Labels customers, again and again, until `stop` is aborted. */
  async function labelAll(stop: AbortSignal, rows: readonly Record<string, number>[]): Promise<Answer[]> {
    const answers: Answer[] = [];
    let n = 0;
    await Promise.all(
      Array.from({ length: callers }, async () => {
        while (!stop.aborted) {
          const id = n++;
          const row = rows[id % rows.length] as Record<string, number>;
          const { status, body } = await test.http.post(`/v1/customers/R${id}/label`).send({ features: row });
          answers.push({ status, row, label: body.label, version: body.model?.version });
        }
      }),
    );
    return answers;
  }

  beforeAll(async () => {
    server2 = parts.use(await startServer2());
    registry = parts.use(await startTlsRegistry(server2));
    gate = parts.use(await startGate());
    gate.target = await serve('1');
    out = mkdtempSync(join(tmpdir(), 'registry-'));
    parts.defer(() => rmSync(out, { recursive: true, force: true }));
    environment = {
      MODEL_SERVER_URL: `https://127.0.0.1:${gate.port}`,
      MODEL_SERVER_CA_FILE: server2.caFile,
      MLFLOW_TRACKING_URI: registry.url,
      MLFLOW_CA_FILE: server2.caFile,
      DATA_DIR: join(out, 'data'),
    };
    test = await start();
  }, startupMs);
  afterAll(async () => {
    await test?.[Symbol.asyncDispose]();
    await parts.disposeAsync();
  });

  it('starts with the contract of the live version, without being told', async () => {
    expect(await known()).toEqual(['1']);
    const { runId } = server2.contract.model;
    const { body } = await test.http.get('/v1/model').expect(200);
    expect(body.contract).toMatchObject({ model: { name: 'rfc_tune', version: '1', runId } });
    expect((await readiness(test)).overall).toBe('pass');
  });

  it(
    'learns a version that is registered and promoted while customers are labelled, and refuses nobody',
    async () => {
      const stop = new AbortController();
      const labelled = labelAll(stop.signal, madeUp(server2.contract, 3_000));
      // of other customers: another forest, and another scaler
      const words = ['--data', 'generated', '--trials', '1', '--seed', '7', '--out', join(out, 'second')];
      await runPython(['-m', 'scripts.training', ...words], { MLFLOW_TRACKING_URI: server2.trackingUrl });
      second = readContract(join(out, 'second', 'contract.json'));
      await until(async () => String(await known()) === '2,1');
      expect(await untilRegistry(test, ({ promotion }) => promotion === 'not_live')).toMatchObject({ version: '2' });
      gate.target = await serve('2');
      await untilRegistry(test, ({ promotion }) => promotion === 'live');
      await until(
        async () => (await test.http.get('/v1/labels?version=2&limit=100').expect(200)).body.labels.length > 99,
      );
      stop.abort();
      const answers = await labelled;
      expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
      for (const contract of [server2.contract, second]) {
        const { version } = contract.model;
        const made = answers.filter((answer) => answer.version === version);
        expect(made.length).toBeGreaterThan(99);
        const predict = predictWith('.venv/bin/python', `models:/rfc_tune/${version}`, {
          MLFLOW_TRACKING_URI: server2.trackingUrl,
        });
        const right = await predict(made.map(({ row }) => goldenVector(contract, { features: row, label: 0 })));
        expect(made.filter(({ label }, i) => label !== right[i])).toEqual([]);
      }
      expect((await readiness(test)).overall).toBe('pass');
      const kept = readFileSync(join(out, 'data', 'model-versions', 'rfc_tune', '2', 'model.onnx'));
      expect(kept.equals(readFileSync(join(out, 'second', 'model.onnx')))).toBe(true);
      const count = (version: string) => answers.filter((answer) => answer.version === version).length;
      console.log(`${count('1')} labels of version 1, ${count('2')} of version 2, none refused`);
    },
    startupMs,
  );

  it('is told by the doctor', async () => {
    const told = await doctor();
    expect(told).toMatch(/ok +contract +rfc_tune, versions 2, 1 from the registry, 12 features/);
    expect(told).toMatch(/model server [^\n]*version 2 answers/);
    expect(told).toMatch(/ok +registry +rfc_tune version 2 is live, and calls prove it/);
  }, 60_000);

  it('starts again without the registry, from what it kept, and goes on when it is back', async () => {
    await test[Symbol.asyncDispose]();
    await registry.stop();
    test = await start();
    expect(await known()).toEqual(['2', '1']);
    const features = madeUp(second, 1)[0] as object;
    const { body } = await test.http.post('/v1/customers/K/label').send({ features }).expect(200);
    expect(body.model.version).toBe('2');
    expect(test.log()).toMatch(/"level":40[^\n]*starting with the model versions kept here/);
    expect((await readiness(test)).overall).toBe('warn');
    await registry.restart();
    await untilRegistry(test, ({ promotion }) => promotion === 'live');
    expect((await readiness(test)).overall).toBe('pass');
  }, 120_000);

  it('follows a rollback, and still knows the version that it leads away from', async () => {
    await createRegistryApi(server2.trackingUrl).promote('rfc_tune', '1');
    await until(async () => String(await known()) === '1,2');
    const features = madeUp(second, 1)[0] as object;
    const ask = async () => (await test.http.post('/v1/customers/B/label').send({ features }).expect(200)).body.model;
    expect(await ask()).toMatchObject({ version: '2' });
    gate.target = await serve('1');
    expect(await ask()).toMatchObject({ version: '1' });
  }, 120_000);
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Contract, readContract } from '../src/contract/contract.ts';
import { goldenVector } from '../src/contract/scaling.ts';
import { type Gate, startGate } from './support/gate.ts';
import { madeUp, predictWith, startScoring } from './support/model-server-suite.ts';
import { isMlflowThere, runPython, type Server2, startServer2 } from './support/real-mlflow.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { until } from './support/until.ts';

const python = '.venv/bin/python';
const startupMs = 300_000;
const swaps = 20;
const betweenSwapsMs = process.env['LONG_TESTS'] ? 2_000 : 500;
const singleCallers = 12;
const listCallers = 2;
const listLength = 40;

interface Answer {
  row: Record<string, number>;
  customerId: string;
  label: number;
  version: string;
}

(isMlflowThere() ? describe : describe.skip)('two versions on MLflow 2.1.0', () => {
  const parts = new AsyncDisposableStack();
  let server2: Server2;
  let gate: Gate;
  let contracts: [Contract, Contract];
  let ports: [number, number];
  let test: TestService;

  beforeAll(async () => {
    server2 = parts.use(await startServer2());
    const out = mkdtempSync(join(tmpdir(), 'version-2-'));
    parts.defer(() => rmSync(out, { recursive: true, force: true }));
    // of other customers: another forest, and another scaler
    const words = ['-m', 'scripts.training', '--data', 'generated', '--trials', '1', '--seed', '7', '--out', out];
    await runPython(words, { MLFLOW_TRACKING_URI: server2.trackingUrl });
    contracts = [server2.contract, readContract(join(out, 'contract.json'))];
    // server 2 itself has followed the promotion
    const served = [parts.use(await serveVersion(server2, '1')), parts.use(await serveVersion(server2, '2'))];
    ports = served.map(({ address }) => Number(new URL(address.url).port)) as [number, number];
    gate = parts.use(await startGate());
    gate.target = ports[0];
    test = parts.use(
      await startTestService({
        contracts,
        modelServer: { ...server2.address, url: `https://127.0.0.1:${gate.port}` },
        environment: { MODEL_SERVER_CONCURRENCY: '4' },
      }),
    );
  }, startupMs);
  afterAll(async () => {
    await parts.disposeAsync();
  });

  it(`stores each label with the version that made it, through ${swaps} swaps under load`, async () => {
    const rows = madeUp(contracts[0], 5_000);
    const answers: Answer[] = [];
    const refused: { code: string; sinceSuccessMs: number }[] = [];
    let lastSuccess = performance.now();
    let n = 0;
    const stop = new AbortController();

    const ask = async (count: number) => {
      const customers = Array.from({ length: count }, () => {
        const row = rows[n % rows.length] as Record<string, number>;
        return { id: `S${n++}`, features: row };
      });
      const [first] = customers as [(typeof customers)[number]];
      const { status, body } =
        count === 1
          ? await test.http.post(`/v1/customers/${first.id}/label`).send({ features: first.features })
          : await test.http.post('/v1/labels').send({ customers });
      const given = count === 1 ? [body] : body.labels;
      const failed = status === 200 ? given.find((one: { error?: { code: string } }) => one.error) : { error: body };
      if (failed) {
        refused.push({ code: failed.error.code, sinceSuccessMs: performance.now() - lastSuccess });
        return;
      }
      lastSuccess = performance.now();
      for (const [i, { customerId, label, model }] of given.entries())
        answers.push({ customerId, label, version: model.version, row: customers[i]?.features ?? {} });
    };
    const callers = Array.from({ length: singleCallers + listCallers }, async (_, i) => {
      while (!stop.signal.aborted) await ask(i < singleCallers ? 1 : listLength);
    });
    for (let swap = 1; swap <= swaps; swap += 1) {
      // On a machine that is slow, connections that are cut again and again before anybody answers are an outage
      const before = answers.length;
      await Promise.all([sleep(betweenSwapsMs), until(() => answers.length > before + singleCallers)]);
      gate.target = ports[swap % 2] as number;
      // two swaps for all, and two after which old and new answer side by side
      gate.drop(swap % 4 === 1 || swap % 4 === 2 ? undefined : 'every other');
    }
    stop.abort();
    await Promise.all(callers);

    expect(refused.filter(({ sinceSuccessMs }) => sinceSuccessMs > 1_000)).toEqual([]);
    for (const [i, contract] of contracts.entries()) {
      const version = String(i + 1);
      const made = answers.filter((answer) => answer.version === version);
      expect(made.length).toBeGreaterThan(100);
      const vectors = made.map(({ row }) => goldenVector(contract, { features: row, label: 0 }));
      const expected = await predictWith(python, `models:/rfc_tune/${version}`, {
        MLFLOW_TRACKING_URI: server2.trackingUrl,
      })(vectors);
      expect(made.filter(({ label }, k) => label !== expected[k])).toEqual([]);
    }
    for (let at = 0; at < answers.length; at += 500) {
      const part = answers.slice(at, at + 500);
      const ids = part.map(({ customerId }) => customerId).join();
      const { body } = await test.http.get('/v1/labels').query({ customerIds: ids, limit: 500 }).expect(200);
      const stored = new Map<string, { label: number; model: { version: string } }>(
        body.labels.map((one: { customerId: string }) => [one.customerId, one]),
      );
      for (const { customerId, label, version } of part)
        expect(stored.get(customerId)).toMatchObject({ label, model: { version } });
    }
    const { body } = await test.http.get('/v1/model').expect(200);
    expect(body.guard).toMatchObject({ state: 'proved', cannotTell: [] });
    console.log(`${swaps} swaps: ${answers.length} labels, ${refused.length} refused`, refused.slice(0, 5));
  }, 120_000);
});

/** A scoring server of one registered version, as server 2 runs it. */
function serveVersion({ certificateFile, keyFile, trackingUrl, address }: Server2, version: string) {
  const model = ['-m', `models:/rfc_tune/${version}`, '--env-manager', 'local'];
  return startScoring({
    command: (port) => ({
      words: ['-m', 'mlflow', 'models', 'serve', ...model, '-p', String(port)],
      environment: {
        MLFLOW_TRACKING_URI: trackingUrl,
        GUNICORN_CMD_ARGS: `--worker-class=gthread --threads=2 --keep-alive=65 --certfile=${certificateFile} --keyfile=${keyFile}`,
        PATH: `${resolve(python, '..')}:${process.env['PATH']}`,
      },
    }),
    python,
    ca: address.ca as string,
  });
}

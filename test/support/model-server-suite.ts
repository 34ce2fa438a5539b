import { type ChildProcess, execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Contract, LabelCode } from '../../src/contract/contract.ts';
import { standardize } from '../../src/contract/scaling.ts';
import { createModelServerClient, type ModelServerAddress } from '../../src/model-server/model-server-client.ts';
import { freePort, type Server2, startProcess, stopProcess } from './real-mlflow.ts';
import { startTestService, type TestService } from './test-service.ts';
import { toBodyRows } from '../../src/model-server/scoring-protocol.ts';

/** A model that some MLflow serves, and what scikit-learn says of it. */
export interface ServedModel extends AsyncDisposable {
  address: ModelServerAddress;
  contractFile: string;
  /** Whether the model server labels a row that has a null in it. */
  labelsNulls: boolean;
  predict: Predict;
  /** Ends it as a crash would. */
  kill(): Promise<void>;
  /** Starts it again at the same address. */
  restart(): Promise<void>;
}

/** The labels that scikit-learn itself gives to standardised vectors. */
export type Predict = (vectors: readonly (readonly number[])[]) => Promise<LabelCode[]>;

const timeoutMs = 10_000;
/** uvicorn closes a connection that was idle for 5 s. */
const idleMs = 5_500;
const startupMs = 240_000;

/** What the service does with any MLflow that serves its model. */
export function describeModelServer(name: string, start: () => Promise<ServedModel>): void {
  describe.each([name])('%s', () => {
    let model: ServedModel;
    let test: TestService;
    beforeAll(async () => {
      model = await start();
      test = await startTestService({
        modelServer: model.address,
        environment: { MODEL_CONTRACT: model.contractFile, MODEL_SERVER_TIMEOUT_MS: String(timeoutMs) },
      });
    }, startupMs);
    afterAll(async () => {
      await test?.[Symbol.asyncDispose]();
      await model?.[Symbol.asyncDispose]();
    });

    const label = (id: string, features: object = madeUp(test.contract, 1)[0] as object) =>
      test.http.post(`/v1/customers/${id}/label`).send({ features });

    it('labels one customer', async () => {
      const row = madeUp(test.contract, 1)[0] as Row;
      const { body } = await label('one', row).expect(200);
      expect(body).toMatchObject({
        customerId: 'one',
        source: 'model-server',
        model: { name: test.contract.model.name },
      });
      expect([body.label]).toEqual(await model.predict([vectorOf(test.contract, row)]));
    });

    it('labels 600 customers as scikit-learn labels them', async () => {
      const rows = madeUp(test.contract, 600);
      const customers = rows.map((features, i) => ({ id: `c${i}`, features }));
      const { body } = await test.http.post('/v1/labels').send({ customers }).expect(200);
      expect(body).toMatchObject({ labelled: 600, rejected: 0 });
      const labels = body.labels.map((one: { label: LabelCode }) => one.label);
      expect(labels).toEqual(await model.predict(rows.map((row) => vectorOf(test.contract, row))));
      expect(new Set(labels).size).toBe(test.contract.labels.length);
    });

    it('labels after connections have lain idle, with no failed call', async () => {
      await Promise.all([1, 2, 3, 4].map((i) => label(`before-${i}`).expect(200)));
      await sleep(idleMs);
      await Promise.all([1, 2, 3, 4].map((i) => label(`after-${i}`).expect(200)));
      expect(test.log()).not.toMatch(/"to":"(?!proved)/);
    });

    it('refuses a null before the model server sees it, alone and in a list', async () => {
      const [first, row] = madeUp(test.contract, 2) as [Row, Row];
      const missing = { ...first, [Object.keys(first)[1] as string]: null };
      const { body } = await label('null', missing).expect(422);
      expect(body).toMatchObject({ code: 'invalid_features', errors: [{ code: 'not_a_number' }] });
      await test.http.get('/v1/customers/null/label').expect(404);
      const customers = [
        { id: 'null', features: missing },
        { id: 'whole', features: row },
      ];
      const list = await test.http.post('/v1/labels').send({ customers }).expect(200);
      expect(list.body).toMatchObject({ labelled: 1, rejected: 1 });

      const client = createModelServerClient({ address: model.address, timeoutMs });
      const asked = client.invoke(toBodyRows([Object.values(missing) as number[]])).finally(() => client.close());
      if (model.labelsNulls) expect(await asked).toEqual({ predictions: [expect.anything()] });
      else await expect(asked).rejects.toThrow('400');
    });

    it('says so when it was killed, serves what is stored, and labels again when it is back', async () => {
      await label('stored').expect(200);
      await model.kill();
      const startedAt = performance.now();
      const { body } = await label('killed').expect(503);
      expect(body.code).toBe('model_unavailable');
      expect(performance.now() - startedAt).toBeLessThan(timeoutMs + 250);
      await test.http.get('/v1/customers/killed/label').expect(404);
      await test.http.get('/v1/customers/stored/label').expect(200);
      expect((await test.http.get('/ready').expect(200)).body.overall).toBe('warn');
      await model.restart();
      await label('killed').expect(200);
      expect((await test.http.get('/ready').expect(200)).body.overall).toBe('pass');
    }, 60_000);
  });
}

export interface Scoring extends Pick<ServedModel, 'address' | 'kill' | 'restart'>, AsyncDisposable {
  /** Stops all of its processes where they are, so that it hangs. */
  pause(): void;
  resume(): void;
}

/** `mlflow models serve` on a port of its own, to be killed and started again. */
export async function startScoring(options: {
  command: (port: number) => { words: string[]; environment: Record<string, string> };
  python: string;
  ca: string;
}): Promise<Scoring> {
  const { command, python, ca } = options;
  const port = await freePort();
  const { words, environment } = command(port);
  const url = `https://127.0.0.1:${port}`;
  const start = async () => {
    const child = startProcess(python, words, environment);
    await untilPinged(`${url}/ping`, ca, child);
    return child;
  };
  let child = await start();
  return {
    address: { url, ca, clientCertificate: undefined },
    async kill() {
      const exited = once(child, 'exit');
      process.kill(-(child.pid as number), 'SIGKILL');
      await exited;
    },
    async restart() {
      child = await start();
    },
    pause: () => void process.kill(-(child.pid as number), 'SIGSTOP'),
    resume: () => void process.kill(-(child.pid as number), 'SIGCONT'),
    [Symbol.asyncDispose]: () => stopProcess(child),
  };
}

/** Another scoring server for the model of server 2, with the words and gunicorn settings of a deployment. */
export function startMlflowScoring(server2: Server2, words: string[], gunicorn: string): Promise<Scoring> {
  const python = '.venv/bin/python';
  const { certificateFile, keyFile, trackingUrl, address } = server2;
  const serve = ['-m', 'mlflow', 'models', 'serve', '-m', 'models:/rfc_tune/Production', '--env-manager', 'local'];
  return startScoring({
    command: (port) => ({
      words: [...serve, '-p', String(port), ...words],
      environment: {
        MLFLOW_TRACKING_URI: trackingUrl,
        GUNICORN_CMD_ARGS: `${gunicorn} --certfile=${certificateFile} --keyfile=${keyFile}`,
        PATH: `${resolve(python, '..')}:${process.env['PATH']}`,
      },
    }),
    python,
    ca: address.ca as string,
  });
}

/** Waits until something answers there with 200; fails with what the process printed when it ends before. */
export async function untilPinged(url: string, ca: string, child: ChildProcess): Promise<void> {
  let printed = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  while (child.exitCode === null) {
    const request = get(url, { ca, agent: false });
    const answered = await once(request, 'response').catch(() => null);
    request.destroy();
    if (answered?.[0].statusCode === 200) return;
    await sleep(200);
  }
  throw new Error(`nothing answers at ${url}:\n${printed.slice(-3_000)}`);
}

/** Asks scikit-learn in a Python of its own, with the model as the registry has it. */
export function predictWith(python: string, modelUri: string, environment: Record<string, string>): Predict {
  const script = `
import json, sys
import mlflow.sklearn, numpy as np
model = mlflow.sklearn.load_model(sys.argv[1])
print(json.dumps(model.predict(np.fromfile(sys.argv[2], "<f8").reshape(-1, model.n_features_in_)).tolist()))`;
  return async (vectors) => {
    const folder = mkdtempSync(join(tmpdir(), 'predict-'));
    try {
      const file = join(folder, 'vectors');
      writeFileSync(file, Buffer.from(Float64Array.from(vectors.flat()).buffer));
      const { stdout } = await promisify(execFile)(python, ['-c', script, modelUri, file], {
        env: { ...process.env, ...environment },
        maxBuffer: 64 * 1024 * 1024,
      });
      return JSON.parse(stdout.trim().split('\n').at(-1) as string) as LabelCode[];
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
}

type Row = Record<string, number>;

/** Customers within what the model saw, the same in every run. */
/** Made-up customers of a contract, in raw units; always the same. */
export function madeUp({ features }: Contract, count: number): Row[] {
  return Array.from({ length: count }, (_, row) =>
    Object.fromEntries(
      features.map(({ name, trainingRange, allowed, type, scaling }, i) => {
        const share = ((row + 1) * (i + 1) * 0.618_033_988_75) % 1;
        if ('values' in allowed) return [name, allowed.values[Math.floor(share * allowed.values.length)] as number];
        const minimum = trainingRange?.minimum ?? scaling.mean - 2 * scaling.scale;
        const maximum = trainingRange?.maximum ?? scaling.mean + 2 * scaling.scale;
        const value = minimum + share * (maximum - minimum);
        return [name, type === 'number' ? Number(value.toPrecision(6)) : Math.round(value)];
      }),
    ),
  );
}

function vectorOf(contract: Contract, row: Row): number[] {
  return standardize(
    contract,
    contract.features.map(({ name }) => row[name] as number),
  );
}

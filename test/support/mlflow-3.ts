import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { generate } from 'selfsigned';
import { createAuthority } from './certificates.ts';
import { predictWith, type ServedModel, startScoring, untilPinged } from './model-server-suite.ts';
import { freePort, startProcess, stopProcess } from './real-mlflow.ts';

const python = resolve(process.env['PYTHON_MLFLOW_3'] ?? '.venv-mlflow-3/bin/python');
const install = 'python3 -m venv .venv-mlflow-3 && .venv-mlflow-3/bin/pip install -r test/requirements-mlflow-3.txt';

/** Whether an MLflow 3 can run here; said when not, and under REAL_PEERS=required an error. */
export function isMlflow3There(): boolean {
  if (existsSync(python)) return true;
  const message = `Without MLflow 3: no ${python}: ${install}.`;
  if (process.env['REAL_PEERS'] === 'required') throw new Error(message);
  process.stderr.write(`${message}\n`);
  return false;
}

/** Trains a forest, registers it under an alias, serves it as MLflow 3 does, and adopts it for its contract. */
export async function startMlflow3(): Promise<ServedModel> {
  await using parts = new AsyncDisposableStack();
  const home = mkdtempSync(join(tmpdir(), 'mlflow-3-'));
  parts.defer(() => rmSync(home, { recursive: true, force: true }));
  const file = (name: string, text: string) => {
    writeFileSync(join(home, name), text);
    return join(home, name);
  };
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'mlflow 3' }], {
    keyType: 'ec',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  });
  const certificateFile = file('server.pem', cert);
  const environment = {
    MLFLOW_TRACKING_URI: `sqlite:///${home}/mlflow.db`,
    UVICORN_SSL_CERTFILE: certificateFile,
    UVICORN_SSL_KEYFILE: file('server.key', key),
    PATH: `${resolve(python, '..')}:${process.env['PATH']}`,
  };
  const run = promisify(execFile);
  const trained = await run(python, ['-c', training], { cwd: home, env: { ...process.env, ...environment } });
  const { features, scaler } = JSON.parse(trained.stdout.trim().split('\n').at(-1) as string);

  const modelUri = 'models:/segments@champion';
  const serve = ['-m', 'mlflow', 'models', 'serve', '--model-uri', modelUri, '--env-manager', 'local'];
  const scoring = await startScoring({
    command: (port) => ({ words: [...serve, '--port', String(port)], environment }),
    python,
    ca: cert,
  });
  parts.use(scoring);

  const contractFile = join(home, 'contract.json');
  const listed = ['--features', file('features.json', JSON.stringify(features))];
  const scaled = ['--scaler', file('scaler.json', JSON.stringify(scaler))];
  const adopt = ['contract', 'adopt', ...listed, ...scaled, '--out', contractFile, '--model-name', 'segments', '--yes'];
  await run(process.execPath, ['src/cli/main.ts', ...adopt], {
    env: { ...process.env, MODEL_SERVER_URL: scoring.address.url, MODEL_SERVER_CA_FILE: certificateFile },
  });
  const owned = parts.move();
  return {
    ...scoring,
    contractFile,
    labelsNulls: true,
    predict: predictWith(python, modelUri, environment),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** MLflow 3's tracking server, empty, over TLS. */
export async function startMlflow3Registry(): Promise<{ url: string; caFile: string } & AsyncDisposable> {
  await using parts = new AsyncDisposableStack();
  const home = mkdtempSync(join(tmpdir(), 'mlflow-3-registry-'));
  parts.defer(() => rmSync(home, { recursive: true, force: true }));
  const { certFile, keyFile, cert } = createAuthority(join(home, 'tls'));
  const port = await freePort();
  const store = [
    '--backend-store-uri',
    `sqlite:///${home}/mlflow.db`,
    '--artifacts-destination',
    join(home, 'artifacts'),
  ];
  const tls = ['--uvicorn-opts', `--ssl-certfile ${certFile} --ssl-keyfile ${keyFile}`];
  const words = ['-m', 'mlflow', 'server', '--host', '127.0.0.1', '--port', String(port), '--workers', '1'];
  const server = startProcess(python, [...words, ...store, ...tls], {
    PATH: `${resolve(python, '..')}:${process.env['PATH']}`,
  });
  parts.defer(() => stopProcess(server));
  const url = `https://127.0.0.1:${port}`;
  await untilPinged(`${url}/health`, cert, server);
  const owned = parts.move();
  return { url, caFile: certFile, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Five features, three labels. MLflow 3 would save it as skops, which refuses its own trees when it reads them. */
const training = `
import json
import mlflow, mlflow.sklearn
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import StandardScaler
X, y = make_classification(1500, 5, n_informative=5, n_redundant=0, n_classes=3, random_state=7)
X = X * [10, 2, 300, 0.5, 7] + [100, 0, 1000, 3, -5]
scaler = StandardScaler().fit(X)
forest = RandomForestClassifier(50, random_state=7).fit(scaler.transform(X), y)
with mlflow.start_run():
    mlflow.sklearn.log_model(forest, name="model", registered_model_name="segments", serialization_format="cloudpickle")
mlflow.MlflowClient().set_registered_model_alias("segments", "champion", 1)
print(json.dumps({"features": ["age", "visits", "spend", "ratio", "trend"], "scaler": {"mean": scaler.mean_.tolist(), "scale": scaler.scale_.tolist()}}))`;

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Contract, readContract } from '../../src/contract/contract.ts';
import type { ModelServerAddress } from '../../src/model-server/model-server-client.ts';
import { giveUpTraining, keepTrained, takeTrained } from './trained-home.ts';

const python = process.env['PYTHON'] ?? '.venv/bin/python';
const committedContract = 'config/rfc_tune/contract.json';

/** The table behind the committed model, where it is; without it a small generated one serves. */
export const churnCsv = process.env['CHURN_CSV'];

const companyTraining =
  churnCsv === undefined
    ? ['--data', 'generated', '--trials', '3']
    : ['--data', churnCsv, '--parameters', committedContract];

/** Whether servers 1 and 2 can run here; said when not, and under REAL_PEERS=required an error. */
export function isMlflowThere(): boolean {
  const advice = `no ${python}: python3 -m venv .venv && .venv/bin/pip install -r scripts/requirements-dev.txt`;
  return isThere('a real MLflow', existsSync(python) ? [] : [advice]);
}

/** Whether the table is here that the committed model was trained on. */
export function isTableThere(): boolean {
  const advice = 'set CHURN_CSV to a file with the columns customer_id, the twelve features and churn';
  return isThere('the table of the committed model', churnCsv !== undefined && existsSync(churnCsv) ? [] : [advice]);
}

/** Whether haproxy is here, which moves callers from one version to the next. */
export function isHaproxyThere(): boolean {
  const found = ['/usr/sbin', '/usr/local/sbin', ...(process.env['PATH'] ?? '').split(':')].some((folder) =>
    existsSync(join(folder, 'haproxy')),
  );
  return isThere('haproxy', found ? [] : ['apt-get install haproxy']);
}

function isThere(what: string, missing: string[]): boolean {
  if (missing.length === 0) return true;
  const message = `Without ${what}: ${missing.join('; ')}.`;
  if (process.env['REAL_PEERS'] === 'required') throw new Error(message);
  process.stderr.write(`${message}\n`);
  return false;
}

export interface Server2 extends AsyncDisposable {
  /** The scoring server, over TLS. */
  address: ModelServerAddress;
  caFile: string;
  certificateFile: string;
  keyFile: string;
  trackingUrl: string;
  /** Database, artifacts, certificates, logs and status.json. */
  home: string;
  /** Written by the training that registered the model. */
  contractFile: string;
  contract: Contract;
  /** The process that keeps both servers. */
  process: ChildProcess;
}

/** How scripts.training is asked for a model, when it is not the company's. */
export interface OtherModel {
  name: string;
  training: string[];
}

/**
 * Trains, registers, promotes and serves a model as scripts/ do it: with the committed parameters on the real table where
 * CHURN_CSV names it, else with a short search on the generated one.
 * @param words more for scripts.serving, such as --front haproxy
 */
export async function startServer2(words: readonly string[] = [], other?: OtherModel): Promise<Server2> {
  await using parts = new AsyncDisposableStack();
  const home = mkdtempSync(join(tmpdir(), 'server-2-'));
  parts.defer(() => rmSync(home, { recursive: true, force: true }));
  const isTrained = !other && (await takeTrained(home));
  if (!other && !isTrained) parts.defer(giveUpTraining);
  const [trackingPort, scoringPort] = [await freePort(), await freePort()];
  const ports = ['--tracking-port', String(trackingPort), '--scoring-port', String(scoringPort)];
  const name = other ? ['--model-name', other.name] : [];
  const serving = startProcess(python, ['-m', 'scripts.serving', '--home', home, ...ports, ...name, ...words]);
  parts.defer(() => stopProcess(serving));

  const trackingUrl = `http://127.0.0.1:${trackingPort}`;
  await untilAnswers(`${trackingUrl}/health`, serving);
  const out = join(home, 'contract');
  const train = (how: readonly string[]) =>
    runPython(['-m', 'scripts.training', ...how, ...name, '--out', out], { MLFLOW_TRACKING_URI: trackingUrl });
  if (other) await train(other.training);
  else if (!isTrained) {
    await train(companyTraining);
    await keepTrained(home);
  }
  await untilPrinted(serving, /scoring https:/);

  const [caFile, certificateFile, keyFile] = ['ca.pem', 'server.pem', 'server.key'].map((name) =>
    join(home, 'certificates', name),
  ) as [string, string, string];
  const contractFile = join(out, 'contract.json');
  const owned = parts.move();
  return {
    address: {
      url: `https://127.0.0.1:${scoringPort}`,
      ca: readFileSync(caFile, 'utf8'),
      clientCertificate: undefined,
    },
    caFile,
    certificateFile,
    keyFile,
    trackingUrl,
    home,
    contractFile,
    contract: readContract(contractFile),
    process: serving,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export interface PlainServer extends AsyncDisposable {
  url: string;
  process: ChildProcess;
}

/** `mlflow models serve` as the seed starts it, plus TLS: one sync worker, a connection a call. */
export async function serveAsTheSeed(server2: Server2, modelUri: string): Promise<PlainServer> {
  const port = await freePort();
  const serving = startProcess(
    python,
    ['-m', 'mlflow', 'models', 'serve', '-m', modelUri, '-p', String(port), '--env-manager', 'local'],
    {
      MLFLOW_TRACKING_URI: server2.trackingUrl,
      GUNICORN_CMD_ARGS: `--certfile=${server2.certificateFile} --keyfile=${server2.keyFile}`,
      PATH: `${resolve(python, '..')}:${process.env['PATH']}`,
    },
  );
  await untilPrinted(serving, /Booting worker/);
  return { url: `https://127.0.0.1:${port}`, process: serving, [Symbol.asyncDispose]: () => stopProcess(serving) };
}

/** Runs Python to its end and gives what it printed. */
export async function runPython(words: string[], environment: Record<string, string> = {}): Promise<string> {
  const { stdout } = await promisify(execFile)(python, words, {
    env: { ...process.env, ...environment },
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout;
}

/** Starts a process in a group of its own, so that what it starts can be stopped with it. */
export function startProcess(command: string, words: string[], environment: Record<string, string> = {}): ChildProcess {
  return spawn(command, words, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PYTHONUNBUFFERED: '1', ...environment },
  });
}

export async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const exited = once(child, 'exit');
  process.kill(-child.pid, 'SIGTERM');
  const late = setTimeout(() => process.kill(-(child.pid as number), 'SIGKILL'), 15_000);
  await exited;
  clearTimeout(late);
}

/** Waits until a process has printed something like this; fails with what it printed when it ends before. */
export async function untilPrinted(child: ChildProcess, pattern: RegExp): Promise<string> {
  let printed = '';
  const { promise, resolve: found, reject } = Promise.withResolvers<string>();
  const read = (chunk: Buffer) => {
    printed += chunk.toString();
    if (pattern.test(printed)) found(printed);
  };
  child.stdout?.on('data', read);
  child.stderr?.on('data', read);
  child.once('exit', (code) =>
    reject(new Error(`it ended with ${code} before it printed ${pattern}:\n${printed.slice(-3_000)}`)),
  );
  return promise;
}

async function untilAnswers(url: string, child: ChildProcess): Promise<void> {
  while (child.exitCode === null) {
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok) return;
    await sleep(200);
  }
  throw new Error(`nothing answers at ${url}`);
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { untilPrinted } from './support/real-mlflow.ts';
import { seedCustomers } from './support/seed.ts';
import { startStandIn } from './support/stand-in-model-server.ts';
import { startTestService } from './support/test-service.ts';
import { toyContract, toyCustomer, toyLabel } from './support/toy-model.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lifecycle-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** `npm start` without npm: the process as it is, with what npm puts on the PATH already chosen. */
function run(environment: Record<string, string> = {}, file = 'src/main.ts', words: string[] = []): ChildProcess {
  const settings = { PORT: '0', DATA_DIR: join(folder, 'data'), ...environment };
  return spawn(process.execPath, [file, ...words], {
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function start(environment: Record<string, string> = {}) {
  const child = run(environment);
  const printed = await untilPrinted(child, /Label a customer[^]*-d /);
  return { child, printed, url: /listening on (\S+)/.exec(printed)?.[1] as string };
}

async function ended(child: ChildProcess): Promise<{ code: number | null; printed: string }> {
  let printed = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, printed };
}

it('starts with nothing configured, keeps labels over a stop and a kill, and stops by itself when told', async () => {
  const label = (url: string, id: string) =>
    fetch(`${url}/v1/customers/${id}/label`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ features: seedCustomers.leaves.byName }),
    });

  const first = await start();
  expect(first.printed).toMatch(/embedded[^]*PGlite[^]*none/);
  expect((await label(first.url, 'stopped')).status).toBe(200);
  first.child.kill('SIGTERM');
  expect((await once(first.child, 'exit'))[0]).toBe(0);

  const second = await start();
  expect((await label(second.url, 'killed')).status).toBe(200);
  second.child.kill('SIGKILL');
  await once(second.child, 'exit');

  const third = await start();
  for (const id of ['stopped', 'killed'])
    expect((await fetch(`${third.url}/v1/customers/${id}/label`)).status).toBe(200);
  third.child.kill('SIGINT');
  expect((await once(third.child, 'exit'))[0]).toBe(0);
}, 60_000);

it('the curl that it prints labels a customer', async () => {
  const { child, printed, url } = await start();
  const curl = printed.slice(printed.indexOf('curl -X POST'));
  const shell = spawn('bash', ['-c', `${curl.trim()} -s -w ' %{http_code}'`], { stdio: ['ignore', 'pipe', 'inherit'] });
  const { printed: answer } = await ended(shell);
  expect(answer).toMatch(/"label":.* 200$/);
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  child.kill('SIGTERM');
  await once(child, 'exit');
});

it('shows the first admin key once, when keys are the way in', async () => {
  const first = await start({ ACCESS: 'own' });
  const key = /shown only now: +(\S+)/.exec(first.printed)?.[1] as string;
  const keys = await fetch(`${first.url}/v1/keys`, { headers: { 'X-API-Key': key } });
  expect(keys.status).toBe(200);

  const cli = (words: string[], environment = {}) =>
    ended(run({ ACCESS: 'own', PORT: new URL(first.url).port, ...environment }, 'src/cli/main.ts', words));
  const unauthorised = await cli(['keys', 'list']);
  expect(unauthorised).toMatchObject({ code: 1, printed: expect.stringContaining('CUSTOMER_LABELS_KEY') });
  const throughService = await cli(['keys', 'create', '--name', 'erp', '--role', 'reader'], {
    CUSTOMER_LABELS_KEY: key,
  });
  expect(throughService).toMatchObject({ code: 0, printed: expect.stringMatching(/^cl_/) });
  first.child.kill('SIGTERM');
  await once(first.child, 'exit');

  const direct = await cli(['keys', 'list']);
  expect(direct).toMatchObject({ code: 0, printed: expect.stringMatching(/first admin[^]*erp/) });
  const second = await start({ ACCESS: 'own' });
  expect(second.printed).not.toContain('shown only now');
  second.child.kill('SIGTERM');
  await once(second.child, 'exit');
}, 60_000);

it('ends with one sentence where the operator can mend it', async () => {
  const running = await start();
  const { port } = new URL(running.url);
  const cases: [Record<string, string>, RegExp][] = [
    [{ PORT: port, DATA_DIR: join(folder, 'other') }, /^Port \d+ is taken/],
    [{}, /is in use by process/],
    [{ PORT: 'x', LOG_LEVEL: 'y' }, /settings cannot be used:\n +PORT[^\n]*\n +LOG_LEVEL/],
    [{ MODEL_CONTRACT: 'package.json', DATA_DIR: join(folder, 'third') }, /not a model contract/],
  ];
  for (const [environment, message] of cases) {
    const { code, printed } = await ended(run(environment));
    expect(code).toBe(1);
    expect(printed).toMatch(message);
    expect(printed).not.toMatch(/\n +at /);
  }
  running.child.kill('SIGTERM');
  await once(running.child, 'exit');
}, 60_000);

it('answers what is in flight when it is told to stop, takes nothing new, and leaves nothing open', async () => {
  const before = handles();
  const standIn = await startStandIn();
  const test = await startTestService({ contract: toyContract(), modelServer: standIn.address });
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
  standIn.respond = async ({ vectors }, reply) => {
    arrive();
    await held;
    reply(vectors.map(toyLabel));
  };
  const answer = test.http
    .post('/v1/customers/C1/label')
    .send(toyCustomer())
    .then((one) => one);
  await arrived;
  const stopped = test[Symbol.asyncDispose]();
  await expect(fetch(`${test.url}/health`)).rejects.toThrow();
  release();
  expect((await answer).status).toBe(200);
  await stopped;
  await test.service[Symbol.asyncDispose]();
  await standIn[Symbol.asyncDispose]();
  // a closed handle is listed until its callback has run
  for (let i = 0; i < 100 && handles().length > before.length; i += 1) await sleep(10);
  expect(handles()).toEqual(before);
});

/** What would keep a process alive; timers of the test runner come and go. */
function handles(): string[] {
  return process
    .getActiveResourcesInfo()
    .filter((resource) => /TCP|TLS|Worker|MessagePort|Pipe/.test(resource))
    .sort();
}

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startTestService, type TestService } from './support/test-service.ts';

const program = process.env['SCHEMATHESIS'] ?? '.venv-schemathesis/bin/schemathesis';
const isLong = process.env['LONG_TESTS'] === '1';
const size = isLong ? { perOperation: 700, atLeast: 10_000 } : { perOperation: 12, atLeast: 1_000 };
/** The same cases in every short run, others in each long one; SCHEMATHESIS_SEED repeats what was found. */
const seed = process.env['SCHEMATHESIS_SEED'] ?? (isLong ? String(Math.floor(Math.random() * 1e9)) : '933055533');

function isSchemathesisThere(): boolean {
  if (existsSync(program)) return true;
  const message = `Without schemathesis: python3 -m venv .venv-schemathesis && .venv-schemathesis/bin/pip install -r test/requirements.txt.`;
  if (process.env['REAL_PEERS'] === 'required') throw new Error(message);
  process.stderr.write(`${message}\n`);
  return false;
}

interface Report {
  complete: boolean;
  operations: { total: number; tested: number; errored: number };
  test_cases: { generated: number; with_failures: number; errored: number };
  failures: unknown[];
  errors: unknown[];
}

let test: TestService;
let key: string;
let folder: string;
beforeAll(async () => {
  test = await startTestService({ environment: { ACCESS: 'own', LOG_LEVEL: 'info' } });
  ({ key } = await test.service.keys.create({ name: 'schemathesis', role: 'admin' }));
  folder = mkdtempSync(join(tmpdir(), 'schemathesis-'));
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await test[Symbol.asyncDispose]();
});

/** 413 and 431 refuse too: a list, or an address, that is too long. */
const settings = (bearer: string) => `
hooks = "schemathesis_formats"
continue-on-failure = true
[auth.openapi.bearer]
bearer = "${bearer}"
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429", "431"]
# No schema says what a customer list is, nor that a dry run alone may go without a key.
[[operations]]
include-name = "POST /v1/batches"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "401", "403", "404", "409", "413", "422"]
`;

async function runSchemathesis(): Promise<{ printed: string; report: Report }> {
  const files = { settings: join(folder, 'schemathesis.toml'), report: join(folder, 'report.json') };
  writeFileSync(files.settings, settings(key));
  const words = ['--config-file', files.settings, 'run', `${test.url}/openapi.json`, '--checks', 'all', '--no-color'];
  // DELETE ends a list, which can then still be looked at
  words.push('--exclude-checks', 'use_after_free');
  words.push('-n', String(size.perOperation), '--seed', seed, '--report', 'json', '--report-json-path', files.report);
  const child = spawn(resolve(program), words, {
    cwd: folder,
    env: { ...process.env, PYTHONPATH: resolve('test/support'), PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  await once(child, 'close');
  if (!existsSync(files.report)) throw new Error(printed);
  return { printed, report: JSON.parse(readFileSync(files.report, 'utf8')) as Report };
}

/** The statuses of all answers so far, as the service itself logged them. */
function answeredStatuses(): number[] {
  const requests = test.log().matchAll(/^\{.*"status":(\d+).*"msg":"request"\}$/gm);
  return [...requests].map(([, status]) => Number(status));
}

(isSchemathesisThere() ? it : it.skip)(
  'answers as its own OpenAPI document says, whatever schemathesis makes from it',
  async () => {
    const { printed, report } = await runSchemathesis();
    const found = printed.slice(Math.max(0, printed.search(/=+ (FAILURES|ERRORS) =+/)));
    const ofTheReport = { complete: report.complete, failures: report.failures.length, errors: report.errors.length };
    if (ofTheReport.failures + ofTheReport.errors > 0) throw new Error(`with SCHEMATHESIS_SEED=${seed}:\n${found}`);
    expect(ofTheReport).toEqual({ complete: true, failures: 0, errors: 0 });
    // It leaves out the address that it reads the document from.
    expect(report.operations).toMatchObject({ tested: test.service.routes.length - 1, errored: 0 });
    expect(report.test_cases.generated).toBeGreaterThanOrEqual(size.atLeast);

    const statuses = answeredStatuses();
    const share = (from: number) => statuses.filter((status) => status >= from && status < from + 100).length;
    console.log(`schemathesis: ${report.test_cases.generated} cases, ${statuses.length} answers, seed ${seed}`);
    expect(share(500)).toBe(0);
    // The checks would mean little if a lost key or one wrong field had refused nearly everything.
    expect(share(200)).toBeGreaterThan(statuses.length / 5);
    await test.http.get('/v1/keys').set('X-API-Key', key).expect(200);
  },
  isLong ? 1_800_000 : 400_000,
);

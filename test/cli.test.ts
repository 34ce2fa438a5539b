import { type ExecFileException, execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readContract } from '../src/contract/contract.ts';
import { freePort } from './support/real-mlflow.ts';
import { startStandIn, type StandIn } from './support/stand-in-model-server.ts';
import { toyContract, toyLabel } from './support/toy-model.ts';

let folder: string;
let standIn: StandIn;
let toServer: Record<string, string>;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cli-'));
  standIn = await startStandIn();
  writeFileSync(join(folder, 'ca.pem'), standIn.address.ca as string);
  toServer = { MODEL_SERVER_URL: standIn.address.url, MODEL_SERVER_CA_FILE: join(folder, 'ca.pem') };
});
afterAll(async () => {
  await standIn[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

interface Ran {
  code: number;
  out: string;
  err: string;
}

function cli(words: string[], environment: Record<string, string> = {}, input = ''): Promise<Ran> {
  return new Promise((resolve) => {
    const settings = { DATA_DIR: join(folder, 'data'), ...environment };
    const done = (error: ExecFileException | null, out: string, err: string) =>
      resolve({ code: Number(error?.code ?? 0), out, err });
    const child = execFile(
      process.execPath,
      ['src/cli/main.ts', ...words],
      { env: { ...process.env, ...settings } },
      done,
    );
    child.stdin?.end(input);
  });
}

const file = (name: string, value: unknown) => {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify(value));
  return path;
};

describe('doctor', () => {
  it('tries everything, a line each, and ends with 0 when all works', async () => {
    const { code, out } = await cli(['doctor']);
    expect(
      out
        .split('\n')
        .filter((line) => /^(ok|note|broken)/.test(line))
        .map((line) => line.slice(8, 21).trim()),
    ).toEqual(['settings', 'contract', 'database', 'model server', 'registry', 'clock', 'disk']);
    expect(code).toBe(0);
    expect(out).toContain('all 32 golden rows right');
  });

  it('ends with 1 and a cure for each thing that is broken', async () => {
    const { code, out } = await cli(['doctor'], {
      DATABASE_URL: `postgres://nobody@127.0.0.1:${await freePort()}/none`,
      MODEL_SERVER_URL: `https://127.0.0.1:${await freePort()}`,
    });
    expect(code).toBe(1);
    expect(out).toMatch(/broken +database[^\n]*ECONNREFUSED[^\n]*\n +→ Check DATABASE_URL/);
    expect(out).toMatch(/broken +model server[^\n]*\n +→ Check MODEL_SERVER_URL/);
  });

  it('tells an untrusted certificate from the wrong model', async () => {
    const { MODEL_SERVER_URL } = toServer as { MODEL_SERVER_URL: string };
    expect((await cli(['doctor'], { MODEL_SERVER_URL })).out).toMatch(
      /no trusted connection[^\n]*\n +→ Set MODEL_SERVER_CA_FILE/,
    );
    const contract = toyContract((vector) => toyLabel(vector.toReversed()));
    const wrong = await cli(['doctor'], { ...toServer, MODEL_CONTRACT: file('wrong.json', contract) });
    expect(wrong.out).toMatch(/golden rows came back[^\n]*\n +→ It runs another model/);
    const right = await cli(['doctor'], { ...toServer, MODEL_CONTRACT: file('right.json', toyContract()) });
    expect(right).toMatchObject({ code: 0, out: expect.stringMatching(/certificate good for \d+ days/) });
  });

  it('shows every fault of the settings', async () => {
    const { code, out } = await cli(['doctor'], { PORT: 'x', LOG_LEVEL: 'y' });
    expect(code).toBe(1);
    expect(out).toMatch(/PORT[^\n]*\n[^\n]*LOG_LEVEL/);
  });
});

describe('contract', () => {
  it('shows the one in use', async () => {
    const { code, out } = await cli(['contract', 'show']);
    expect(code).toBe(0);
    expect(out).toMatch(/rfc_tune, version[^]*0 stays \(Se queda\), 1 leaves \(Se va\) \+[^]*12 /);
  });

  const description = () => {
    const { features, labels } = toyContract();
    return { features: features.map(({ name, type, allowed }) => ({ name, type, allowed })), labels };
  };
  const scaler = { mean: [170, 4, 0.5], scale: [10, 2, 0.5] };

  it('adopts a running model when a person confirms, and not otherwise', async () => {
    const out = join(folder, 'adopted.json');
    const words = [
      'contract',
      'adopt',
      '--features',
      file('features.json', description()),
      '--scaler',
      file('scaler.json', scaler),
      '--out',
      out,
      '--model-name',
      'toy',
    ];
    const refused = await cli(words, toServer, 'n\n');
    expect([refused.code, existsSync(out)]).toEqual([1, false]);
    const confirmed = await cli(words, toServer, 'sí\n');
    expect(confirmed).toMatchObject({ code: 0, out: expect.stringMatching(/made-up customers[^]*Written to/) });
    const contract = readContract(out);
    expect(contract.goldenRows.length).toBeGreaterThanOrEqual(32);
    expect(contract.model).toEqual({ name: 'toy', version: null, runId: null });
    expect(await cli(['doctor'], { ...toServer, MODEL_CONTRACT: out })).toMatchObject({ code: 0 });
  });

  it('adopts by another contract, whose scaler it takes', async () => {
    const out = join(folder, 'by-contract.json');
    const words = [
      'contract',
      'adopt',
      '--features',
      file('toy.json', toyContract()),
      '--out',
      out,
      '--yes',
      '--model-version',
      '8',
    ];
    expect(await cli(words, toServer)).toMatchObject({ code: 0 });
    expect(readContract(out)).toMatchObject({ model: { version: '8' }, labels: toyContract().labels });
  });

  it.each([
    ['a scaler of another length', { mean: [1], scale: [1] }, /1 means and 1 scales for 3 features/],
    ['a scale of zero', { mean: [1, 1, 1], scale: [1, 0, 1] }, /scaler cannot be used/],
  ])('refuses %s in a sentence', async (_what, wrong, message) => {
    const words = [
      'contract',
      'adopt',
      '--features',
      file('f.json', description()),
      '--scaler',
      file('s.json', wrong),
      '--out',
      join(folder, 'none.json'),
      '--yes',
    ];
    const { code, err } = await cli(words, toServer);
    expect(code).toBe(1);
    expect(err).toMatch(message);
    expect(err).not.toMatch(/\n +at /);
  });
});

it('refuses to adopt what gives every made-up customer one label', async () => {
  const [height, ...others] = toyContract().features;
  const features = [{ ...height, reference: undefined, trainingRange: { minimum: 9_000, maximum: 9_001 } }, ...others];
  const list = file('narrow.json', { features: features.map(({ reference: _reference, ...feature }) => feature) });
  const { code, err } = await cli(
    ['contract', 'adopt', '--features', list, '--out', join(folder, 'n.json'), '--yes'],
    toServer,
  );
  expect(code).toBe(1);
  expect(err).toMatch(/gave the labels high \(4096\)[^]*Check the scaler/);
});

it('ends with 2 when it is used wrongly', async () => {
  for (const words of [
    ['keys', 'create', '--name', 'x', '--role', 'king'],
    ['nonsense'],
    ['keys', 'create'],
    ['contract', 'adopt'],
  ])
    expect(await cli(words)).toMatchObject({ code: 2 });
  expect(await cli(['--help'])).toMatchObject({ code: 0, out: expect.stringContaining('doctor') });
  expect(readFileSync('package.json', 'utf8')).toContain((await cli(['--version'])).out.trim());
});

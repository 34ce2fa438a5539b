import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { checkContract, type Contract, readContract, readOnnx } from '../src/contract/contract.ts';
import { createFeatureParser } from '../src/contract/feature-vector.ts';
import { standardize } from '../src/contract/scaling.ts';
import { git } from './support/git.ts';
import { seedCustomers } from './support/seed.ts';
import { toyContract } from './support/toy-model.ts';

const contractFile = 'config/rfc_tune/contract.json';
const committed = readContract(contractFile);

it('scales the two seed customers to the very bits of the seed', () => {
  for (const { raw, standardized } of Object.values(seedCustomers))
    expect(standardize(committed, raw)).toEqual(standardized);
});

it('checks the ONNX copy against its SHA-256', () => {
  expect(readOnnx(committed, contractFile).length).toBeGreaterThan(10_000);
  const folder = mkdtempSync(join(tmpdir(), 'contract-'));
  try {
    writeFileSync(join(folder, 'model.onnx'), 'another file');
    expect(() => readOnnx(committed, join(folder, 'contract.json'))).toThrow(/SHA-256 differs/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it('names every fault of a contract at once, with its place', () => {
  const broken = structuredClone(toyContract()) as unknown as Record<string, never> & Contract;
  (broken.features[0] as { scaling: { scale: number } }).scaling.scale = 0;
  broken.features[1] = { ...(broken.features[1] as Contract['features'][number]), name: '' };
  expect(() => checkContract(broken, 'x.json')).toThrow(
    /x\.json[^]*features\[0\]\.scaling\.scale[^]*features\[1\]\.name/,
  );
});

it.each([
  ['two features of one name', (c: Contract) => (c.features[1] = c.features[0] as never), /same name/],
  ['two labels of one code', (c: Contract) => (c.labels[1] = c.labels[0] as never), /same code/],
  ['a golden row without a feature', (c: Contract) => void delete c.goldenRows[3]?.features['vip'], /goldenRows\[3\]/],
  [
    'a golden row of an unknown label',
    (c: Contract) => void ((c.goldenRows[0] as { label: string }).label = 'x'),
    /not a label/,
  ],
  ['too few golden rows', (c: Contract) => void c.goldenRows.splice(31), /goldenRows/],
  [
    'a label that no golden row has',
    (c: Contract) => void (c.goldenRows = c.goldenRows.map((r) => ({ ...r, label: 'low' }))),
    /each label/,
  ],
])('refuses %s', (_what, spoil, message) => {
  const contract = structuredClone(toyContract());
  spoil(contract);
  expect(() => checkContract(contract, 'x.json')).toThrow(message);
});

it('refuses a number that overflows only when it is scaled', () => {
  const contract = toyContract();
  (contract.features[0] as { scaling: { scale: number } }).scaling.scale = 0.1;
  const parse = createFeatureParser(contract);
  const parsed = parse({ features: { height: 3e38, visits: 1, vip: 0 } });
  expect(parsed).toEqual({ faults: [{ pointer: '#/features/height', code: 'out_of_float32' }] });
});

it('is the only place that knows the names of the features', () => {
  const source = git(['grep', '-h', '', '--', 'src']);
  for (const { name } of committed.features) expect(source).not.toContain(name);
});

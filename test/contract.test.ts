import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { checkContract, type Contract, readContract, readOnnx } from '../src/contract/contract.ts';
import { buildFeatureSchemas, createFeatureParser } from '../src/contract/feature-vector.ts';
import { float32Max, standardize } from '../src/contract/scaling.ts';
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

it.each([
  ['the committed contract', committed],
  ['the toy contract', toyContract()],
])('takes of %s, in order, exactly what its schemas take', (_what, contract) => {
  const parse = createFeatureParser(contract);
  const edges = [
    0,
    -0,
    1,
    2,
    -1,
    0.5,
    1e-45,
    float32Max,
    -float32Max,
    3.402823466385289e38,
    1e39,
    Infinity,
    Number.NaN,
  ];
  const value = fc.oneof(
    fc.constantFrom<unknown[]>(...edges, '1', null, undefined, true, [], {}),
    fc.double(),
    fc.integer(),
  );
  const lists = fc.array(value, { minLength: contract.features.length, maxLength: contract.features.length });
  fc.assert(
    fc.property(lists, fc.constantFrom('raw' as const, 'standardized' as const), (features, scale) => {
      const { ordered } = buildFeatureSchemas(contract)[scale];
      const refused = features.flatMap((one, i) => (ordered[i]?.safeParse(one).success ? [] : [`#/features/${i}`]));
      const parsed = parse({ features, scale });
      const found = 'faults' in parsed ? parsed.faults : [];
      expect(
        found.filter(({ code }) => refused.length > 0 || code !== 'out_of_float32').map(({ pointer }) => pointer),
      ).toEqual(refused);
    }),
    { numRuns: 500 },
  );
  for (const one of edges) {
    const parsed = parse({ features: contract.features.map(() => one), scale: 'raw' });
    const found = 'faults' in parsed ? parsed.faults.map(({ pointer }) => pointer) : [];
    const refused = buildFeatureSchemas(contract).raw.ordered.flatMap((schema, i) =>
      schema.safeParse(one).success ? [] : [`#/features/${i}`],
    );
    if (refused.length > 0) expect(found).toEqual(refused);
  }
});

it('is the only place that knows the names of the features', () => {
  const source = git(['grep', '-h', '', '--', 'src']);
  for (const { name } of committed.features) expect(source).not.toContain(name);
});

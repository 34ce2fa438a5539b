import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Contract, type LabelCode, readContract, readOnnx } from '../src/contract/contract.ts';
import { predictForest } from '../src/model-copy/forest.ts';
import { createModelCopies, openCopy, predictWith } from '../src/model-copy/model-copies.ts';
import { readOnnxForest } from '../src/model-copy/read-onnx-forest.ts';
import { churnCsv, isMlflowThere, isTableThere, runPython } from './support/real-mlflow.ts';
import { startStandIn } from './support/stand-in-model-server.ts';
import { golden } from './support/toy-model.ts';
import { memoryLogger, startTestService } from './support/test-service.ts';

const contractFile = 'config/rfc_tune/contract.json';
const contract = readContract(contractFile);
const onnx = readOnnx(contract, contractFile);

const flip = (label: LabelCode) => (label === 0 ? 1 : 0);

/** What scikit-learn says of a forest. */
interface Expected {
  vectors: number[][];
  classes: LabelCode[];
  labels: LabelCode[];
  probabilities: number[][];
}

(isMlflowThere() ? describe : describe.skip)("the copy against scikit-learn's own answers", () => {
  let folder: string;
  const tables = isTableThere() ? [churnCsv as string] : [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'forests-'));
    await runPython(['test/support/forests.py', folder, ...tables]);
  }, 120_000);
  afterAll(() => rmSync(folder, { recursive: true }));

  const names = ['three words', 'two words', 'four numbers', ...(tables.length > 0 ? ['churn'] : [])];
  it.each(names)('%s: every label, every probability within 1e-6', (name) => {
    const expected = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as Expected;
    const forest = readOnnxForest(readFileSync(join(folder, `${name}.onnx`)));
    const { labels, probabilities } = predictForest(forest, expected.vectors);
    expect(forest.labels).toEqual(expected.classes);
    const differing = labels.filter((label, i) => label !== expected.labels[i]).length;
    const worst = expected.probabilities
      .flat()
      .reduce((most, value, i) => Math.max(most, Math.abs(value - (probabilities[i] as number))), 0);
    console.log(
      `${name}: ${labels.length} rows, ${differing} labels differ, largest difference ${worst.toExponential(1)}`,
    );
    expect(labels).toHaveLength(expected.vectors.length);
    expect(differing).toBe(0);
    expect(worst).toBeLessThan(1e-6);
  });
});

describe('a copy', () => {
  it('answers the same alone and among others, whatever their number', () => {
    const forest = readOnnxForest(onnx);
    const vectors = Array.from({ length: 131 }, (_, i) => contract.features.map((_, k) => Math.sin(i * 12 + k) * 3));
    const together = predictForest(forest, vectors);
    for (const [i, vector] of vectors.entries()) {
      const alone = predictForest(forest, [vector]);
      expect(alone.labels).toEqual([together.labels[i]]);
      expect([...alone.probabilities]).toEqual(Array.from(together.probabilities.subarray(2 * i, 2 * i + 2)));
    }
    expect(predictForest(forest, []).labels).toEqual([]);
  });

  it("gives the positive label's probability", () => {
    const copy = openCopy(contract, onnx);
    const { labels, probabilities } = predictWith(copy, [contract.features.map(() => 0)]);
    const turned: Contract = {
      ...contract,
      labels: contract.labels.map((one) => ({ ...one, positive: !one.positive })),
    };
    const other = predictWith(openCopy(turned, onnx), [contract.features.map(() => 0)]);
    expect(other.labels).toEqual(labels);
    expect(other.probabilities?.[0]).toBeCloseTo(1 - (probabilities?.[0] as number), 7);
    expect(
      predictWith(
        openCopy({ ...contract, labels: contract.labels.map((one) => ({ ...one, positive: false })) }, onnx),
        [contract.features.map(() => 0)],
      ).probabilities,
    ).toBeNull();
  });

  const faulty: [string, Contract, Uint8Array, RegExp][] = [
    ['a torn file', contract, onnx.subarray(0, 50_000), /cannot be read|column|node|vote|no trees|not one/],
    ['no ONNX at all', contract, Buffer.from('<html>'), /cannot be read|not one TreeEnsembleClassifier/],
    ['an empty file', contract, Buffer.alloc(0), /not one TreeEnsembleClassifier/],
    [
      'one golden row otherwise',
      {
        ...contract,
        goldenRows: contract.goldenRows.map((row, i) => (i === 9 ? { ...row, label: flip(row.label) } : row)),
      },
      onnx,
      /labels 1 of \d+ golden rows otherwise/,
    ],
    [
      'other labels',
      { ...contract, labels: contract.labels.map((one) => ({ ...one, code: `${one.code}` })) },
      onnx,
      /other labels/,
    ],
    ['fewer features', { ...contract, features: contract.features.slice(0, 3) }, onnx, /other features/],
  ];
  it.each(faulty)('with %s is not used, and said once', (_, spoiled, bytes, reason) => {
    const { logger, lines } = memoryLogger();
    const copies = createModelCopies({ onnxOf: () => bytes, logger });
    expect(copies.of(spoiled)).toBeNull();
    expect(copies.of(spoiled)).toBeNull();
    expect(lines).toHaveLength(1);
    expect((JSON.parse(lines[0] as string) as { reason: string }).reason).toMatch(reason);
  });
});

describe('the probability of a label', () => {
  const customer = { features: contract.goldenRows[0]?.features };

  it('comes from the copy where the model server gives labels only, and stays with the stored label', async () => {
    await using test = await startTestService();
    const { body } = await test.http.post('/v1/customers/C1/label').send(customer).expect(200);
    expect(body.probability).toBeGreaterThanOrEqual(0);
    expect(body.probability > 0.5).toBe(body.label === 1);
    const stored = await test.http.get('/v1/customers/C1/label').expect(200);
    expect(stored.body.probability).toBe(body.probability);
  });

  it('is left out, and counted, where the copy gives another label', async () => {
    await using standIn = await startStandIn();
    const copy = openCopy(contract, onnx);
    // golden rows as they should be, customers otherwise
    standIn.respond = ({ vectors }, reply) =>
      reply(predictWith(copy, vectors).labels.map((label, i) => (i < golden ? label : flip(label))));
    await using test = await startTestService({ modelServer: standIn.address });
    const wrong = await test.http.post('/v1/customers/C1/label').send(customer).expect(200);
    expect(wrong.body).not.toHaveProperty('probability');
    standIn.respond = ({ vectors }, reply) => reply(predictWith(copy, vectors).labels);
    const right = await test.http.post('/v1/customers/C2/label').send(customer).expect(200);
    expect(right.body.probability).toBeDefined();
    const { text } = await test.http.get('/metrics');
    expect(text).toMatch(/^customer_labels_probability_disagreements_total 1$/m);
  });
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { LabelCode } from '../src/contract/contract.ts';
import { generateAccepted, type Generated } from './support/generated-customers.ts';
import {
  describeModelServer,
  predictWith,
  type ServedModel,
  startMlflowScoring,
} from './support/model-server-suite.ts';
import { isMlflowThere, runPython, type Server2, startServer2 } from './support/real-mlflow.ts';
import { startTestService } from './support/test-service.ts';

const python = '.venv/bin/python';
const modelUri = 'models:/rfc_tune/Production';
const comparedRows = process.env['LONG_TESTS'] ? 100_000 : 20_000;
const rowsPerRequest = 1_000;
const startupMs = 240_000;

(isMlflowThere() ? describe : describe.skip)('MLflow 2.1.0', () => {
  let server2: Server2;
  beforeAll(async () => {
    server2 = await startServer2();
  }, startupMs);
  afterAll(async () => {
    await server2?.[Symbol.asyncDispose]();
  });

  const predict = (vectors: readonly (readonly number[])[]) =>
    predictWith(python, modelUri, { MLFLOW_TRACKING_URI: server2.trackingUrl })(vectors);

  /** Another scoring server for the model of server 2, with the words and gunicorn settings of a deployment. */
  const serve = (words: string[], gunicorn: string) => async (): Promise<ServedModel> => {
    const scoring = await startMlflowScoring(server2, words, gunicorn);
    return { ...scoring, contractFile: server2.contractFile, labelsNulls: false, predict };
  };

  describeModelServer("with the seed's one sync worker", serve([], ''));
  describeModelServer(
    'with two workers of two threads that keep connections',
    serve(['--workers', '2'], '--worker-class=gthread --threads=2 --keep-alive=65'),
  );

  it(`gives each of ${comparedRows} customers that we accept the label that scikit-learn gives`, async () => {
    await using test = await startTestService({
      modelServer: server2.address,
      environment: { MODEL_CONTRACT: server2.contractFile },
    });
    const thresholds = JSON.parse(
      await runPython(['-W', 'ignore', '-c', thresholdsOfTheForest, modelUri], {
        MLFLOW_TRACKING_URI: server2.trackingUrl,
      }),
    ) as number[][];
    const customers = generateAccepted(test.contract, thresholds, comparedRows);
    const labels: LabelCode[] = [];
    for (let at = 0; at < customers.length; at += rowsPerRequest) {
      const { body } = await test.http
        .post('/v1/labels')
        .type('json')
        .send(bodyOf(customers.slice(at, at + rowsPerRequest), at))
        .expect(200);
      expect(body.rejected).toBe(0);
      labels.push(...body.labels.map((one: { label: LabelCode }) => one.label));
    }

    const expected = await predict(customers.map(({ features, scale }) => standardized(features, scale)));
    expect(expected).toHaveLength(comparedRows);
    const disagreements = customers.filter((_, i) => labels[i] !== expected[i]);
    expect(disagreements).toEqual([]);
    for (const { code } of test.contract.labels)
      expect(labels.filter((label) => label === code).length).toBeGreaterThan(comparedRows / 50);
    for (const kind of ['ordinary', 'extreme', 'threshold'])
      expect(customers.filter((customer) => customer.kind === kind).length).toBeGreaterThan(comparedRows / 10);

    /** (x - mean) / scale, by the contract's own numbers. */
    function standardized(features: number[], scale: Generated['scale']): number[] {
      if (scale === 'standardized') return features;
      return test.contract.features.map(({ scaling }, i) => ((features[i] as number) - scaling.mean) / scaling.scale);
    }
  }, 600_000);
});

/** JSON.stringify would write the negative zero without its sign. */
function bodyOf(customers: Generated[], from: number): string {
  const number = (value: number) => (Object.is(value, -0) ? '-0.0' : JSON.stringify(value));
  const rows = customers.map(
    ({ features, scale }, i) => `{"id":"d${from + i}","scale":"${scale}","features":[${features.map(number).join()}]}`,
  );
  return `{"customers":[${rows.join()}]}`;
}

/** Where the trees decide, by feature. */
const thresholdsOfTheForest = `
import json, sys
import mlflow.sklearn
trees = [estimator.tree_ for estimator in mlflow.sklearn.load_model(sys.argv[1]).estimators_]
print(json.dumps([sorted({t for tree in trees for t in tree.threshold[tree.feature == feature].tolist()})[:2000] for feature in range(trees[0].n_features)]))`;

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Contract, readContract } from '../src/contract/contract.ts';
import { standardize } from '../src/contract/scaling.ts';
import { createModelServerClient } from '../src/model-server/model-server-client.ts';
import { databaseKinds } from './support/databases.ts';
import {
  churnCsv,
  isMlflowThere,
  isTableThere,
  runPython,
  serveAsTheSeed,
  startServer2,
  type Server2,
} from './support/real-mlflow.ts';
import { seedCustomers, seedRequest } from './support/seed.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { toBodyRows } from '../src/model-server/scoring-protocol.ts';

const here = isMlflowThere();
const kinds = await databaseKinds();
const withMlflow = here ? describe : describe.skip;
const withTheTable = isTableThere() ? it : it.skip;
const startupMs = 240_000;

withMlflow('a real MLflow 2.1.0, trained, registered, promoted and served over TLS', () => {
  let server2: Server2;
  beforeAll(async () => {
    server2 = await startServer2();
  }, startupMs);
  afterAll(async () => {
    await server2?.[Symbol.asyncDispose]();
  });

  const service = (options: Parameters<typeof startTestService>[0] = {}) =>
    startTestService({
      modelServer: server2.address,
      environment: { MODEL_CONTRACT: server2.contractFile },
      ...options,
    });

  it('says in the contract which version was registered, by which run', () => {
    expect(server2.contract.model).toEqual({
      name: 'rfc_tune',
      version: '1',
      runId: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
  });

  describe.each(kinds)('on %s', (database) => {
    let test: TestService;
    beforeAll(async () => {
      test = await service({ database, environment: { MODEL_CONTRACT: server2.contractFile } });
    });
    afterAll(async () => {
      await test[Symbol.asyncDispose]();
    });

    withTheTable("labels the seed's two customers, and names the version that was proved", async () => {
      const answer = await test.http.post('/invocations').send(seedRequest).expect(200);
      expect(answer.text).toBe('{"predictions": [0, 1]}');
      for (const { id, byName, label } of Object.values(seedCustomers)) {
        const { body } = await test.http.post(`/v1/customers/${id}/label`).send({ features: byName }).expect(200);
        expect(body).toMatchObject({ label, source: 'model-server', model: { name: 'rfc_tune', version: '1' } });
      }
    });

    it('gives each of many customers the label that MLflow gives it alone', async () => {
      const rows = madeUp(server2.contract, 600);
      const customers = rows.map((features, i) => ({ id: `c${i}`, features }));
      const { body } = await test.http.post('/v1/labels').send({ customers }).expect(200);
      const client = createModelServerClient({ address: server2.address, timeoutMs: 10_000 });
      const direct = (await client.invoke(toBodyRows(rows.map((row) => vector(server2.contract, row))))) as {
        predictions: number[];
      };
      client.close();
      expect(body.labelled).toBe(600);
      expect(body.labels.map((label: { label: number }) => label.label)).toEqual(direct.predictions);
      expect(new Set(direct.predictions).size).toBe(2);
    });
  });

  withTheTable('retrained, it gives the committed golden labels: the committed contract is proved too', async () => {
    await using test = await service({ environment: { MODEL_CONTRACT: 'config/rfc_tune/contract.json' } });
    const { body } = await test.http.get('/ready').expect(200);
    expect(body.checks.modelServer.state).toBe('proved');
  });

  withTheTable("is scaled as scikit-learn's StandardScaler scales, to the last bit of the whole table", async () => {
    const committed = readContract('config/rfc_tune/contract.json');
    const script = `
import hashlib, os
import numpy as np, pandas as pd
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
table = pd.read_csv(os.environ["CHURN_CSV"])
features = table.drop(columns=["customer_id", "churn"]).astype(float)
train, _ = train_test_split(features, test_size=0.2, random_state=42)
print(hashlib.sha256(np.ascontiguousarray(StandardScaler().fit(train).transform(features), dtype="<f8").tobytes()).hexdigest())`;
    const [head, ...lines] = readFileSync(churnCsv as string, 'utf8')
      .trim()
      .split(/\r?\n/);
    const columns = (head as string).split(',');
    const order = committed.features.map(({ name }) => columns.indexOf(name));
    const scaled = lines.flatMap((line) => {
      const cells = line.split(',');
      return standardize(
        committed,
        order.map((i) => Number(cells[i])),
      );
    });
    expect(scaled.length).toBe(3_333 * 12);
    const ours = createHash('sha256')
      .update(Buffer.from(Float64Array.from(scaled).buffer))
      .digest('hex');
    expect(ours).toBe((await runPython(['-c', script])).trim());
  });

  it('is not trusted for a contract with two columns swapped: nothing is stored', async () => {
    const contract = structuredClone(server2.contract);
    const [first, second, third, ...rest] = contract.features as [Feature, Feature, Feature];
    contract.features = [third, second, first, ...rest];
    await using test = await startTestService({ modelServer: server2.address, contract });
    const features = madeUp(contract, 1)[0] as object;
    const { body } = await test.http.post('/v1/customers/C1/label').send({ features }).expect(503);
    expect(body.code).toBe('model_untrusted');
    await test.http.get('/v1/customers/C1/label').expect(404);
  });

  it('is refused when its certificate is not signed by the trusted authority', async () => {
    await using test = await service({ modelServer: { ...server2.address, ca: undefined } });
    const features = madeUp(server2.contract, 1)[0] as object;
    const { body } = await test.http.post('/v1/customers/C1/label').send({ features }).expect(503);
    expect(body.code).toBe('model_untrusted');
  });

  it("is served as the seed's command serves it too: one sync worker, a connection a call", async () => {
    await using plain = await serveAsTheSeed(server2, 'models:/rfc_tune/Production');
    await using test = await service({ modelServer: { ...server2.address, url: plain.url } });
    const customers = madeUp(server2.contract, 50).map((features, i) => ({ id: `s${i}`, features }));
    const answers = await Promise.all(
      customers.map(({ id, features }) => test.http.post(`/v1/customers/${id}/label`).send({ features })),
    );
    expect(answers.map((answer) => answer.status)).toEqual(customers.map(() => 200));
  });

  it('that was registered without a contract is adopted by asking it, and labels', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'adopt-'));
    const file = (name: string, value?: unknown) => {
      const path = join(folder, name);
      if (value !== undefined) writeFileSync(path, JSON.stringify(value));
      return path;
    };
    try {
      const { features, scaler } = JSON.parse(
        (await runPython(['-c', legacyModel], { MLFLOW_TRACKING_URI: server2.trackingUrl }))
          .trim()
          .split('\n')
          .at(-1) as string,
      );
      await using legacy = await serveAsTheSeed(server2, 'models:/legacy/Production');
      const out = file('contract.json');
      const words = [
        'contract',
        'adopt',
        '--features',
        file('features.json', features),
        '--scaler',
        file('scaler.json', scaler),
        '--out',
        out,
        '--model-name',
        'legacy',
        '--yes',
      ];
      const { stdout } = await promisify(execFile)(process.execPath, ['src/cli/main.ts', ...words], {
        env: { ...process.env, MODEL_SERVER_URL: legacy.url, MODEL_SERVER_CA_FILE: server2.caFile },
      });
      expect(stdout).toContain('Written to');
      const contract = readContract(out);
      expect(contract.labels.map(({ code }) => code)).toEqual([0, 1, 2]);

      await using test = await startTestService({ contract, modelServer: { ...server2.address, url: legacy.url } });
      const row = contract.goldenRows[9] as Contract['goldenRows'][number];
      const { body } = await test.http.post('/v1/customers/L1/label').send({ features: row.features }).expect(200);
      expect(body).toMatchObject({ label: row.label, model: { name: 'legacy', version: null } });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

type Feature = Contract['features'][number];

/** Somebody's model of long ago: five features, three labels, no signature and no contract. */
const legacyModel = `
import json
import mlflow, mlflow.sklearn
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import StandardScaler
X, y = make_classification(600, 5, n_informative=5, n_redundant=0, n_classes=3, random_state=7)
X = X * [10, 2, 300, 0.5, 7] + [100, 0, 1000, 3, -5]
scaler = StandardScaler().fit(X)
with mlflow.start_run():
    mlflow.sklearn.log_model(RandomForestClassifier(25, random_state=7).fit(scaler.transform(X), y), "model", registered_model_name="legacy")
mlflow.MlflowClient().transition_model_version_stage("legacy", 1, "Production")
print(json.dumps({"features": ["age", "visits", "spend", "ratio", "trend"], "scaler": {"mean": scaler.mean_.tolist(), "scale": scaler.scale_.tolist()}}))`;

function madeUp({ features }: Contract, count: number): Record<string, number>[] {
  return Array.from({ length: count }, (_, row) =>
    Object.fromEntries(
      features.map(({ name, trainingRange, allowed, type }, i) => {
        // a fixed, spread-out sequence: the same customers in every run
        const share = ((row + 1) * (i + 1) * 0.618_033_988_75) % 1;
        if ('values' in allowed) return [name, allowed.values[Math.floor(share * allowed.values.length)] as number];
        const { minimum, maximum } = trainingRange ?? { minimum: 0, maximum: 1 };
        const value = minimum + share * (maximum - minimum);
        return [name, type === 'number' ? Math.round(value * 10) / 10 : Math.round(value)];
      }),
    ),
  );
}

function vector(contract: Contract, row: Record<string, number>): number[] {
  return standardize(
    contract,
    contract.features.map(({ name }) => row[name] as number),
  );
}

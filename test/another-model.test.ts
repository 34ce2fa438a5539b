import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Contract } from '../src/contract/contract.ts';
import { goldenVector } from '../src/contract/scaling.ts';
import { hasEnded, readResults, sendList, untilList } from './support/list-caller.ts';
import { madeUp, predictWith } from './support/model-server-suite.ts';
import { isMlflowThere, runPython, type Server2, startServer2 } from './support/real-mlflow.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { startTlsRegistry, type TlsRegistry } from './support/tls-registry.ts';

const folderOfModel = 'scripts/tests/payment_model';
const startupMs = 480_000;
const customersPerRequest = 600;
const texts = {
  on_time: { en: 'Pays on time', es: 'Paga a tiempo' },
  late: { en: 'Pays late', es: 'Paga tarde' },
  never: { en: 'Does not pay', es: 'No paga' },
};

type Code = keyof typeof texts;
type Row = Record<string, number>;
interface Given {
  customerId: string;
  label: Code;
  text: string;
  probability: number;
}

(isMlflowThere() ? describe : describe.skip)('a model of other features, with three labels that are words', () => {
  const parts = new AsyncDisposableStack();
  let server2: Server2;
  let registry: TlsRegistry;
  let test: TestService;
  let rows: Row[];
  let expected: Code[];

  const scikitLearn = (contract: Contract, asked: readonly Row[]) =>
    predictWith('.venv/bin/python', 'models:/payments/Production', { MLFLOW_TRACKING_URI: server2.trackingUrl })(
      asked.map((features) => goldenVector(contract, { features, label: 0 })),
    ) as Promise<Code[]>;

  const labelAll = async ({ http }: TestService, language = 'en'): Promise<Given[]> => {
    const customers = rows.map((features, i) => ({ id: `P${i}`, features }));
    const { body } = await http.post('/v1/labels').set('Accept-Language', language).send({ customers }).expect(200);
    expect(body).toMatchObject({ labelled: rows.length, rejected: 0 });
    return body.labels;
  };

  beforeAll(async () => {
    const folder = mkdtempSync(join(tmpdir(), 'payments-'));
    parts.defer(() => rmSync(folder, { recursive: true, force: true }));
    const table = join(folder, 'payments.csv');
    await runPython(['-m', 'scripts.tests.payment_model.table', table]);
    const training = ['--data', table, '--catalogue', `${folderOfModel}/catalogue.json`, '--trials', '2'];
    server2 = parts.use(await startServer2([], { name: 'payments', training }));
    registry = parts.use(await startTlsRegistry(server2));
    test = parts.use(
      await startTestService({
        environment: {
          MODEL_NAME: 'payments',
          MODEL_SERVER_URL: server2.address.url,
          MODEL_SERVER_CA_FILE: server2.caFile,
          MLFLOW_TRACKING_URI: registry.url,
          MLFLOW_CA_FILE: server2.caFile,
        },
      }),
    );
    rows = madeUp(server2.contract, customersPerRequest);
    expected = await scikitLearn(server2.contract, rows);
  }, startupMs);
  afterAll(async () => {
    await parts.disposeAsync();
  });

  it('is served by the contract that the registry has of it', async () => {
    const { body } = await test.http.get('/v1/model').expect(200);
    expect(body.contract).toMatchObject({
      model: { name: 'payments', version: '1', runId: server2.contract.model.runId },
    });
    expect(body.contract.labels.map(({ code }: { code: Code }) => code)).toEqual(Object.keys(texts));
    expect((await test.http.get('/ready').expect(200)).body.overall).toBe('pass');
  });

  it.each(['en', 'es'] as const)(
    "labels every customer as scikit-learn does, with a probability and the label's text (%s)",
    async (language) => {
      const given = await labelAll(test, language);
      expect(given.map(({ label }) => label)).toEqual(expected);
      expect(new Set(expected).size).toBe(3);
      expect(given.filter(({ label, text }) => text !== texts[label][language])).toEqual([]);
      expect(given.filter(({ probability: p }) => !(p >= 0 && p <= 1))).toEqual([]);
      // the positive label's probability: above a half it is that label, below a third it cannot be
      const wrong = given.filter(({ label, probability: p }) => (label === 'never' ? p < 1 / 3 : p > 0.5));
      expect(wrong).toEqual([]);
    },
  );

  it('checks what it is given by the names and bounds of the other features', async () => {
    const { credit_used: _, ...incomplete } = rows[0] as Row;
    const features = { ...incomplete, rating_class: 4, pays_by_direct_debit: 2, total_day_minutes: 100 };
    const { body } = await test.http.post('/v1/customers/P-bad/label').send({ features }).expect(422);
    const faults = body.errors.map(({ pointer, code }: { pointer: string; code: string }) => `${code} ${pointer}`);
    expect(faults.sort()).toEqual([
      'feature_missing #/features/credit_used',
      'feature_unknown #/features/total_day_minutes',
      'not_allowed_value #/features/pays_by_direct_debit',
      'not_allowed_value #/features/rating_class',
    ]);
    const odd = { ...(rows[0] as Row), mean_days_overdue: 900 };
    const warned = await test.http.post('/v1/customers/P-odd/label').send({ features: odd }).expect(200);
    expect(warned.body.warnings).toMatchObject([{ pointer: '#/features/mean_days_overdue' }]);
  });

  it('labels a list whose columns are the other features', async () => {
    const names = server2.contract.features.map(({ name }) => name);
    const lines = rows.map((row, i) => [`L${i}`, ...names.map((name) => row[name])].join());
    const { id } = await sendList(test.url, Buffer.from([`customer_id,${names.join()}`, ...lines].join('\n')), 'list');
    const ended = await untilList(test.url, id, hasEnded);
    expect(ended).toMatchObject({ state: 'succeeded', rows: { labelled: rows.length, rejected: 0 } });
    const [header, ...results] = (await readResults(test.url, id)).trim().split(/\r?\n/);
    const column = (header as string).split(',').indexOf('label');
    expect(results.map((line) => line.split(',')[column])).toEqual(expected);
  });

  it('is served from a contract file just as well, and with no model server by the copy alone', async () => {
    const environment = { MODEL_CONTRACT: server2.contractFile };
    await using byFile = await startTestService({ modelServer: server2.address, environment });
    expect((await labelAll(byFile)).map(({ label }) => label)).toEqual(expected);
    await using embedded = await startTestService({ environment });
    expect((await labelAll(embedded)).map(({ label }) => label)).toEqual(expected);
  }, 120_000);
});

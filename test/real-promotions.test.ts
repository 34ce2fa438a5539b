import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Contract, type LabelCode, readContract } from '../src/contract/contract.ts';
import { goldenVector } from '../src/contract/scaling.ts';
import { fetchList, sendList, untilEnded } from './support/lists.ts';
import { createRegistryApi } from './support/mlflow-registry.ts';
import { madeUp, predictWith } from './support/model-server-suite.ts';
import {
  freePort,
  isHaproxyThere,
  isMlflowThere,
  runPython,
  type Server2,
  startServer2,
} from './support/real-mlflow.ts';
import { readServingStatus, untilServed } from './support/serving-status.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { until } from './support/until.ts';

const promotions = process.env['LONG_TESTS'] ? 20 : 3;
const listRows = process.env['LONG_TESTS'] ? 60_000 : 20_000;
const callers = 12;
const between = 30;
const startupMs = 300_000;

interface Answer {
  customerId: string;
  /** Which of the made-up customers it was. */
  row: number;
  label: LabelCode;
  version: string;
}

(isMlflowThere() && isHaproxyThere() ? describe : describe.skip)('promotions under load', () => {
  const parts = new AsyncDisposableStack();
  let server2: Server2;
  let contracts: [Contract, Contract];
  let test: TestService;

  beforeAll(async () => {
    const registryPort = await freePort();
    const words = ['--front', 'haproxy', '--registry-port', String(registryPort), '--poll-seconds', '0.5'];
    server2 = parts.use(await startServer2(words));
    const out = mkdtempSync(join(tmpdir(), 'version-2-'));
    parts.defer(() => rmSync(out, { recursive: true, force: true }));
    await runPython(['test/support/second_version.py', server2.contractFile, out], {
      MLFLOW_TRACKING_URI: server2.trackingUrl,
    });
    contracts = [server2.contract, readContract(join(out, 'contract.json'))];
    const environment = {
      MODEL_SERVER_URL: server2.address.url,
      MODEL_SERVER_CA_FILE: server2.caFile,
      MODEL_SERVER_CONCURRENCY: '4',
      MODEL_CONTRACT: 'registry',
      MLFLOW_TRACKING_URI: `https://127.0.0.1:${registryPort}`,
      MLFLOW_CA_FILE: server2.caFile,
      DATA_DIR: join(out, 'data'),
    };
    test = parts.use(await startTestService({ registryEveryMs: 500, environment }));
  }, startupMs);
  afterAll(async () => {
    await parts.disposeAsync();
  });

  it(
    `fails no call in ${promotions} promotions, and stores each label with the version that made it`,
    async () => {
      const rows = madeUp(contracts[0], 3_000);
      const names = contracts[0].features.map(({ name }) => name);
      const singles: Answer[] = [];
      const failed: unknown[] = [];
      const waitedMs: number[] = [];
      const lists: { id: string; state: string; rejected: number }[] = [];
      const stop = new AbortController();
      let isListRunning = false;
      let n = 0;

      async function ask() {
        const row = n % rows.length;
        const customerId = `S${n++}`;
        const startedAt = performance.now();
        const { status, body } = await test.http
          .post(`/v1/customers/${customerId}/label`)
          .send({ features: rows[row] });
        waitedMs.push(performance.now() - startedAt);
        if (status === 200) singles.push({ customerId, row, label: body.label, version: body.model.version });
        else failed.push({ status, body });
      }
      async function labelOneList(list: number) {
        const lines = Array.from({ length: listRows }, (_, i) => {
          const row = rows[i % rows.length] as Record<string, number>;
          return [`L${list}-${i}`, ...names.map((name) => row[name])].join();
        });
        const csv = [['customer_id', ...names].join(), ...lines, ''].join('\n');
        const { body } = await sendList(test, csv).expect(202);
        isListRunning = true;
        const ended = await untilEnded(test, body.id);
        isListRunning = false;
        lists.push({ id: body.id, state: ended.state, rejected: ended.rows.rejected });
      }
      const load = [
        ...Array.from({ length: callers }, async () => {
          while (!stop.signal.aborted) await ask();
        }),
        (async () => {
          for (let list = 0; !stop.signal.aborted; list += 1) await labelOneList(list);
        })(),
      ];

      const registry = createRegistryApi(server2.trackingUrl);
      const takenMs: number[] = [];
      for (let promotion = 1; promotion <= promotions; promotion += 1) {
        const version = promotion % 2 === 1 ? '2' : '1';
        await until(() => isListRunning);
        const startedAt = performance.now();
        await registry.promote('rfc_tune', version);
        await untilServed(server2.home, version);
        takenMs.push(performance.now() - startedAt);
        const before = singles.filter((one) => one.version === version).length;
        await until(() => singles.filter((one) => one.version === version).length >= before + between);
      }
      stop.abort();
      await Promise.all(load);

      expect(failed).toEqual([]);
      expect(lists.filter(({ state, rejected }) => state !== 'succeeded' || rejected > 0)).toEqual([]);
      const { live, refused } = readServingStatus(server2.home);
      expect(live).toMatchObject({ restarts: 0, goldenRows: 32 });
      expect(refused).toEqual([]);

      const right = await Promise.all(contracts.map((contract, i) => labelsOf(contract, String(i + 1), rows)));
      const isRight = ({ row, label, version }: Answer) => right[Number(version) - 1]?.[row] === label;
      expect(singles.filter((one) => !isRight(one))).toEqual([]);
      for (const version of ['1', '2'])
        expect(singles.filter((one) => one.version === version).length).toBeGreaterThanOrEqual(between);
      let listed = 0;
      for (const [list, { id }] of lists.entries()) {
        const answers = await listAnswers(list, id, names.length, rows.length);
        expect(answers).toHaveLength(listRows);
        expect(answers.filter((one) => !isRight(one))).toEqual([]);
        listed += answers.length;
      }
      await expectStored(singles);

      waitedMs.sort((a, b) => a - b);
      takenMs.sort((a, b) => a - b);
      const at = (sorted: number[], share: number) => Math.round(sorted[Math.floor(sorted.length * share)] as number);
      console.log(
        `${promotions} promotions: ${singles.length} customers and ${lists.length} lists of ${listed} rows, 0 failed; ` +
          `a promotion is served after ${at(takenMs, 0.5)} ms (longest ${takenMs.at(-1)?.toFixed(0)} ms); ` +
          `callers waited p50 ${at(waitedMs, 0.5)} ms, p99 ${at(waitedMs, 0.99)} ms, longest ${waitedMs.at(-1)?.toFixed(0)} ms`,
      );
    },
    promotions * 60_000,
  );

  /** What scikit-learn says of the customers, with a version's own scaler. */
  function labelsOf(contract: Contract, version: string, rows: Record<string, number>[]) {
    const predict = predictWith('.venv/bin/python', `models:/rfc_tune/${version}`, {
      MLFLOW_TRACKING_URI: server2.trackingUrl,
    });
    return predict(rows.map((features) => goldenVector(contract, { features, label: 0 })));
  }

  async function listAnswers(list: number, id: string, width: number, customers: number): Promise<Answer[]> {
    const { bytes } = await fetchList(test, `${id}/results`);
    const lines = bytes.toString().trim().split(/\r?\n/).slice(1);
    const answers = lines.map((line, i) => {
      const cells = line.split(',');
      const [label, , , version] = cells.slice(width + 1) as [string, string, string, string];
      return { customerId: cells[0] as string, row: i % customers, label: Number(label), version };
    });
    expect(answers.filter(({ customerId }, i) => customerId !== `L${list}-${i}`)).toEqual([]);
    return answers;
  }

  async function expectStored(answers: Answer[]) {
    for (let at = 0; at < answers.length; at += 500) {
      const part = answers.slice(at, at + 500);
      const ids = part.map(({ customerId }) => customerId).join();
      const { body } = await test.http.get('/v1/labels').query({ customerIds: ids, limit: 500 }).expect(200);
      const stored = new Map<string, object>(
        body.labels.map((one: { customerId: string }) => [one.customerId, one] as const),
      );
      for (const { customerId, label, version } of part)
        expect(stored.get(customerId)).toMatchObject({ label, model: { version } });
    }
  }
});

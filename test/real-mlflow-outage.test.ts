import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { goldenVector } from '../src/contract/scaling.ts';
import { createModelServerClient } from '../src/model-server/model-server-client.ts';
import { createCaller, inParallel } from './support/caller.ts';
import { startGate } from './support/gate.ts';
import { type Scoring, startMlflowScoring } from './support/model-server-suite.ts';
import { isMlflowThere, type Server2, startServer2 } from './support/real-mlflow.ts';
import { seedCustomers } from './support/seed.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { until } from './support/until.ts';
import { toBodyRows } from '../src/model-server/scoring-protocol.ts';

const isLong = process.env['LONG_TESTS'] !== undefined;
const outageMs = isLong ? 60_000 : 6_000;
const callers = 64;
const timeoutMs = 1_000;
/** ERP workers that ask again at once: 64 callers × 5 a second. */
const pauseMs = 200;
const startupMs = 240_000;

interface Asked {
  startedAt: number;
  endedAt: number;
  status: number;
  code: string | undefined;
}

const ms = (one: Asked) => one.endedAt - one.startedAt;
const percentile = (values: number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] as number;

(isMlflowThere() ? describe : describe.skip)(`64 callers and ${outageMs / 1_000} s without MLflow 2.1.0`, () => {
  let server2: Server2;
  beforeAll(async () => {
    server2 = await startServer2();
  }, startupMs);
  afterAll(async () => {
    await server2?.[Symbol.asyncDispose]();
  });

  const kinds: [string, string[], string][] = [
    ["the seed's one sync worker", [], ''],
    [
      'two workers of two threads that keep connections',
      ['--workers', '2'],
      '--worker-class=gthread --threads=2 --keep-alive=65',
    ],
  ];
  const ends: [string, (mlflow: Scoring) => Promise<void>, (mlflow: Scoring) => Promise<void>][] = [
    ['killed', (mlflow) => mlflow.kill(), (mlflow) => mlflow.restart()],
    ['stopped where it is', async (mlflow) => mlflow.pause(), async (mlflow) => mlflow.resume()],
  ];
  const all = kinds.flatMap(([kind, words, gunicorn]) =>
    ends.map(([end, begin, finish]) => ({ kind, words, gunicorn, end, begin, finish })),
  );
  // one of each kind and end, or all
  const cases = isLong ? all : [all[1], all[2]].filter((one) => one !== undefined);

  it.each(cases)(
    '$kind, $end',
    async ({ kind, words, gunicorn, end, begin, finish }) => {
      await using mlflow = await startMlflowScoring(server2, words, gunicorn);
      await using gate = await startGate();
      gate.target = Number(new URL(mlflow.address.url).port);
      await using test = await startTestService({
        modelServer: { ...mlflow.address, url: `https://127.0.0.1:${gate.port}` },
        environment: { MODEL_CONTRACT: server2.contractFile, MODEL_SERVER_TIMEOUT_MS: String(timeoutMs) },
      });
      const isOut = async () => (await test.http.get('/ready')).body.checks.modelServer.outage !== null;
      const retries = async () =>
        Number(/model_retries_total (\d+)/.exec((await test.http.get('/metrics').expect(200)).text)?.[1]);

      // What a busy machine kept from this process, callers and service alike, is not the service's
      const stalls = monitorEventLoopDelay({ resolution: 10 });
      stalls.enable();
      const asked: Asked[] = [];
      let isOver = false;
      const asking = askAll(test, asked, () => isOver);
      await until(() => asked.filter(({ status }) => status === 200).length >= callers * 10);
      const retriedBefore = await retries();
      gate.forget();

      const beganAt = performance.now();
      await begin(mlflow);
      await until(isOut);
      const openedAt = performance.now();
      await sleep(Math.max(beganAt + outageMs - openedAt, 1_500));
      const [calls, retried] = [gate.connections, (await retries()) - retriedBefore];
      const endedAt = performance.now();
      await finish(mlflow);
      await untilAnswers(mlflow, server2);
      const backAt = performance.now();
      await until(() => asked.filter((one) => one.startedAt > backAt + 2_000).length >= callers * 10);
      isOver = true;
      await asking;
      stalls.disable();
      const slackMs = 250 + stalls.max / 1e6;

      const during = asked.filter((one) => one.startedAt >= beganAt && one.startedAt < endedAt);
      const refused = asked.filter((one) => one.startedAt > openedAt && one.endedAt < endedAt);
      const p99 = percentile(refused.map(ms), 0.99);
      const lastRefusal = Math.max(...asked.filter(({ status }) => status !== 200).map((one) => one.endedAt));
      const withoutRetries = calls - retried;
      console.log(
        `${kind}, ${end}: opened after ${Math.round(openedAt - beganAt)} ms; ${during.length} requests, ${calls} calls ` +
          `(${retried} of them retries); ${refused.length} refused while open, p50 ${percentile(refused.map(ms), 0.5).toFixed(1)} ms, ` +
          `p99 ${p99.toFixed(1)} ms; longest request ${Math.round(Math.max(...asked.map(ms)))} ms; ` +
          `last refusal ${Math.round(lastRefusal - backAt)} ms after it was back; ` +
          `longest stall of this process ${Math.round(stalls.max / 1e6)} ms`,
      );

      // and half a second for a machine that does other things too
      expect(Math.max(...asked.map(ms))).toBeLessThanOrEqual(timeoutMs + slackMs + 500);
      const codes = new Set(
        during.filter(({ status }) => status !== 200).map(({ status, code }) => `${status} ${code}`),
      );
      expect(codes.difference(new Set(['503 model_unavailable', '504 deadline'])).size).toBe(0);
      expect(new Set(refused.map(({ status, code }) => `${status} ${code}`))).toEqual(
        new Set(['503 model_unavailable']),
      );
      expect(refused.length).toBeGreaterThan(callers);
      expect(p99).toBeLessThan(slackMs + 500);
      // Each call is a connection here, but for those that a kept-alive one could take before it was given up.
      expect(calls).toBeLessThanOrEqual(during.length * 1.1);
      expect(retried).toBeLessThanOrEqual(10);
      if (isLong) expect(calls).toBeLessThanOrEqual(withoutRetries * 1.1);
      // Five that opened it, one beside them, and no more than a probe a second
      expect(withoutRetries).toBeLessThanOrEqual(10 + Math.ceil((endedAt - openedAt) / 1_000));
      expect(lastRefusal - backAt).toBeLessThan(6_000);
    },
    60_000 + 2 * outageMs,
  );

  it.each(ends)(
    '%s, with the fallback: no request fails, and all labels are of server 2 in the end',
    async (end, begin, finish) => {
      await using mlflow = await startMlflowScoring(
        server2,
        ['--workers', '2'],
        '--worker-class=gthread --threads=2 --keep-alive=65',
      );
      await using test = await startTestService({
        modelServer: mlflow.address,
        environment: {
          MODEL_CONTRACT: server2.contractFile,
          MODEL_SERVER_URL: mlflow.address.url,
          MODEL_SERVER_TIMEOUT_MS: String(timeoutMs),
          OUTAGE_FALLBACK: 'embedded',
        },
      });
      const sources = async () => {
        const ids = Array.from({ length: callers }, (_, lane) => `lane-${lane}`);
        const { body } = await test.http
          .get('/v1/labels')
          .query({ customerIds: ids.join(',') })
          .expect(200);
        return body.labels.map(({ source }: { source: string }) => source) as string[];
      };
      const asked: Asked[] = [];
      let isOver = false;
      const asking = askAll(test, asked, () => isOver);
      await until(() => asked.length >= callers * 10);
      const beganAt = performance.now();
      await begin(mlflow);
      await sleep(outageMs);
      expect(new Set(await sources())).toEqual(new Set(['embedded']));
      await finish(mlflow);
      await untilAnswers(mlflow, server2);
      isOver = true;
      await asking;
      await until(async () => (await sources()).every((source) => source === 'model-server'));
      const during = asked.filter((one) => one.startedAt >= beganAt);
      console.log(
        `${end}, with the fallback: ${asked.length} requests, ${during.length} of them since the outage began, ` +
          `${asked.filter(({ status }) => status !== 200).length} failed, p99 ${percentile(during.map(ms), 0.99).toFixed(0)} ms, ` +
          `longest ${Math.round(Math.max(...asked.map(ms)))} ms`,
      );
      expect(asked.filter(({ status }) => status !== 200)).toEqual([]);
    },
    60_000 + 2 * outageMs,
  );
});

/** So many callers, each asking again and again with a pause. */
async function askAll(test: TestService, asked: Asked[], isOver: () => boolean): Promise<void> {
  using caller = createCaller(test.url, callers);
  const body = JSON.stringify({ features: seedCustomers.leaves.byName });
  await inParallel(Array.from({ length: callers }).keys(), callers, async (lane) => {
    while (!isOver()) {
      const startedAt = performance.now();
      const { status, text } = await caller.ask('POST', `/v1/customers/lane-${lane}/label`, body);
      const { code } = JSON.parse(text) as { code?: string };
      asked.push({ startedAt, endedAt: performance.now(), status, code });
      await sleep(pauseMs);
    }
  });
}

/** Until the model server itself answers golden rows: then it is back. */
async function untilAnswers(mlflow: Scoring, { contract }: Server2): Promise<void> {
  const client = createModelServerClient({ address: mlflow.address, timeoutMs: 1_000 });
  const golden = toBodyRows(contract.goldenRows.map((row) => goldenVector(contract, row)));
  await until(() =>
    client.invoke(golden).then(
      () => true,
      () => false,
    ),
  );
  client.close();
}

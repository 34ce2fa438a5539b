import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { createLastingDatabase, databaseKinds } from './support/databases.ts';
import {
  countKept,
  hasEnded,
  readProgress,
  readResults,
  rowsDone,
  sendList,
  untilList,
} from './support/list-caller.ts';
import { longList } from './support/long-list.ts';
import { type Scoring, startMlflowScoring } from './support/model-server-suite.ts';
import { isMlflowThere, type Server2, startServer2 } from './support/real-mlflow.ts';
import { createServiceStarter } from './support/service-process.ts';

const rows = process.env['LONG_TESTS'] === '1' ? 200_000 : 100_000;
const outageMs = 20_000;
const gunicorn = '--worker-class=gthread --threads=4 --keep-alive=65';

const { start, endAll } = createServiceStarter();
afterEach(endAll);

const [kind] = (await databaseKinds()).slice(-1) as ['PGlite' | 'PostgreSQL'];

(isMlflowThere() ? describe : describe.skip)(`a list and ${outageMs / 1_000} s without MLflow 2.1.0`, () => {
  let server2: Server2;
  beforeAll(async () => {
    server2 = await startServer2();
  }, 240_000);
  afterAll(async () => {
    await server2?.[Symbol.asyncDispose]();
  });

  const ends: [string, (mlflow: Scoring) => Promise<void>, (mlflow: Scoring) => Promise<void>][] = [
    ['killed', (mlflow) => mlflow.kill(), (mlflow) => mlflow.restart()],
    ['stopped where it is', async (mlflow) => mlflow.pause(), async (mlflow) => mlflow.resume()],
  ];

  it.each(ends)(
    '%s: it waits and says why, then goes on by itself',
    async (end, begin, finish) => {
      await using mlflow = await startMlflowScoring(server2, [], gunicorn);
      await using database = await createLastingDatabase(kind);
      const list = longList(server2.contract, rows);
      const service = await start({
        ...database.environment,
        MODEL_CONTRACT: server2.contractFile,
        MODEL_SERVER_URL: mlflow.address.url,
        MODEL_SERVER_CA_FILE: server2.caFile,
        MODEL_SERVER_TIMEOUT_MS: '5000',
      });
      const { id } = await sendList(service.url, list.csv, 'outage');
      await untilList(service.url, id, (progress) => rowsDone(progress) > 0);
      await begin(mlflow);
      const beganAt = performance.now();
      await untilList(service.url, id, ({ state, reason }) => state === 'waiting' && reason === 'model_unavailable');
      const waitsAfter = (performance.now() - beganAt) / 1_000;
      await sleep(Math.max(0, beganAt + outageMs - performance.now()));
      const during = await readProgress(service.url, id);
      expect(during).toMatchObject({ state: 'waiting', reason: 'model_unavailable' });
      await finish(mlflow);
      const backAt = performance.now();
      await untilList(service.url, id, (progress) => rowsDone(progress) > rowsDone(during));
      const goesOnAfter = (performance.now() - backAt) / 1_000;
      const ended = await untilList(service.url, id, hasEnded);
      expect(ended).toMatchObject({ state: 'partially_succeeded', reason: null });
      expect(ended.rows).toEqual({
        total: rows,
        labelled: rows - list.refused,
        rejected: list.refused,
        duplicates: list.repeated,
      });
      const lines = (await readResults(service.url, id)).split('\n').slice(1, -1);
      expect(lines.map((line) => line.slice(0, line.indexOf(','))).join() === list.ids.join()).toBe(true);
      await service.end('SIGTERM');
      const kept = await countKept(database.environment);
      console.log(
        `model server ${end} for ${outageMs / 1_000} s: the list waited after ${waitsAfter.toFixed(1)} s with ` +
          `${rowsDone(during)} of ${rows} rows done, went on ${goesOnAfter.toFixed(1)} s after it was back, ` +
          `${kept.repeats} attempts used up`,
      );
      expect(kept).toMatchObject({ active: 0, done: kept.chunks, repeats: 0, history: list.repeated });
      expect(kept.current).toBe(rows - list.refused - list.repeated);
    },
    180_000,
  );
});

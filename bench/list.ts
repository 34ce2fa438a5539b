import { once } from 'node:events';
import { createReadStream, createWriteStream, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import type { Contract } from '../src/contract/contract.ts';
import { createTestDatabase, type DatabaseKind } from '../test/support/databases.ts';
import { runPython, startServer2 } from '../test/support/real-mlflow.ts';
import { makeCustomers } from './customers.ts';
import { runLoad } from './load.ts';
import { cpuMsOf, useOf } from './process-use.ts';
import { startService } from './service-process.ts';

export interface ListOptions {
  rows: number;
  database: DatabaseKind;
  /** Of the service, on the one PostgreSQL, each with two workers of the model server. */
  instances: number;
  /** Single customers' callers meanwhile, in a second run of the list. */
  callers: number;
}

export interface ListRow {
  what: string;
  rows: number;
  seconds: number;
  rowsPerSecond: number;
  residentMb?: number;
  idleMb?: number;
  singleP99Ms?: number;
  /** Processor time by process, a second. */
  cpu?: Record<string, number>;
}

const chunkRows = 16_384;
const idleMs = 3_000;

/** A list of customers through the whole service on real MLflow, beside the same forest's predict in a process of one core. */
export async function benchList({ rows, database: kind, instances, callers }: ListOptions): Promise<ListRow[]> {
  await using server2 = await startServer2(['--workers', String(2 * instances)]);
  await using database = await createTestDatabase(kind);
  const folder = mkdtempSync(join(tmpdir(), 'bench-list-'));
  const stored = kind === 'PGlite' ? { DATA_DIR: join(folder, 'data') } : database.environment;
  const environment = {
    ...stored,
    MODEL_SERVER_URL: server2.address.url,
    MODEL_SERVER_CA_FILE: server2.caFile,
    MODEL_CONTRACT: server2.contractFile,
    MODEL_SERVER_CONCURRENCY: '2',
  };
  await using service = await startService(environment);
  await using others = new AsyncDisposableStack();
  for (let i = 1; i < instances; i += 1) others.use(await startService(environment));
  const results: ListRow[] = [];
  const measured = (what: string, count: number, ms: number, more: Partial<ListRow> = {}) =>
    results.push({ what, rows: count, seconds: ms / 1_000, rowsPerSecond: (count / ms) * 1_000, ...more });

  try {
    const model = `models:/${server2.contract.model.name}/Production`;
    measured('in-process predict, one core', rows, await predictMs(model, server2.trackingUrl, rows));
    const authorization = `Bearer ${service.key}`;
    const pid = service.process.pid as number;
    const customers = makeCustomers(server2.contract, 2_000).map(({ byName }) => JSON.stringify({ features: byName }));
    const singles = (durationMs: number) =>
      runLoad({
        url: service.url,
        keepAlive: true,
        callers,
        durationMs,
        request: (n) => ({
          method: 'POST',
          path: `/v1/customers/S${n % customers.length}/label`,
          headers: { 'Content-Type': 'application/json', Authorization: authorization },
          body: customers[n % customers.length] as string,
        }),
      });

    const cpuMs = (): Record<string, number> => ({
      service: useOf(pid).cpuMs,
      mlflow: useOf(server2.process.pid as number).cpuMs,
      postgres: cpuMsOf('postgres'),
    });

    const label = async (what: string, count: number, file: string) => {
      await sleep(idleMs);
      const idleMb = residentMb(pid);
      let most = idleMb;
      const watch = setInterval(() => (most = Math.max(most, residentMb(pid))), 100);
      const startedAt = performance.now();
      const answer = await request(`${service.url}/v1/batches`, {
        method: 'POST',
        headers: { authorization, 'content-type': 'text/csv', 'idempotency-key': what.replaceAll(' ', '-') },
        body: createReadStream(file),
      });
      const { id } = (await answer.body.json()) as { id: string };
      const acceptedAt = performance.now();
      const before = cpuMs();
      let state = '';
      while (!/succeeded|failed/.test(state)) {
        await sleep(100);
        const { body } = await request(`${service.url}/v1/batches/${id}`, { headers: { authorization } });
        ({ state } = (await body.json()) as { state: string });
      }
      const endedAt = performance.now();
      const after = cpuMs();
      const cpu = Object.fromEntries(
        Object.entries(after).map(([name, ms]) => [name, (ms - (before[name] ?? 0)) / (endedAt - acceptedAt)]),
      );
      clearInterval(watch);
      measured(`${what}: upload`, count, acceptedAt - startedAt);
      measured(`${what}: ${state}`, count, endedAt - acceptedAt, { residentMb: most, idleMb, cpu });
    };

    const [small, large] = [Math.round(rows / 10), rows];
    const files = { small: join(folder, 'small.csv'), large: join(folder, 'large.csv') };
    await writeList(files.small, server2.contract, small);
    await writeList(files.large, server2.contract, large);
    await label('warm up', small, files.small);
    await label('a tenth', small, files.small);
    await label('onto a fresh table', large, files.large);
    await label('onto existing rows', large, files.large);

    const idle = await singles(5_000);
    measured(`${callers} callers alone`, idle.answered, 5_000, { singleP99Ms: idle.p99Ms });
    const over = { isOver: false };
    const listed = label(`with ${callers} callers`, large, files.large).then(() => {
      over.isOver = true;
    });
    await sleep(idleMs + 2_000);
    const parts: number[] = [];
    let answered = 0;
    const startedAt = performance.now();
    while (!over.isOver) {
      const part = await singles(4_000);
      parts.push(part.p99Ms);
      answered += part.answered;
    }
    parts.sort((a, b) => a - b);
    measured(`${callers} callers beside the list`, answered, performance.now() - startedAt, {
      singleP99Ms: parts[Math.floor(parts.length / 2)] as number,
    });
    await listed;
    return results;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** How long scikit-learn takes for so many rows in calls as large as ours, on one core. */
async function predictMs(modelUri: string, trackingUri: string, rows: number): Promise<number> {
  const script = `
import sys, time
import mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[2])
forest = mlflow.sklearn.load_model(sys.argv[1])
forest.n_jobs = 1
rows = np.random.default_rng(1).normal(size=(${chunkRows}, forest.n_features_in_))
forest.predict(rows)
left, started = ${rows}, time.perf_counter()
while left > 0:
    forest.predict(rows[:min(left, ${chunkRows})])
    left -= ${chunkRows}
print((time.perf_counter() - started) * 1000)`;
  return Number(await runPython(['-c', script, modelUri, trackingUri]));
}

async function writeList(file: string, contract: Contract, rows: number): Promise<void> {
  const out = createWriteStream(file);
  out.write(`customer_id,${contract.features.map(({ name }) => name).join(',')},province\n`);
  for (let from = 0; from < rows; from += 10_000) {
    const lines = makeCustomers(contract, Math.min(10_000, rows - from)).map(
      ({ byName }, i) => `L${from + i},${Object.values(byName).join(',')},Madrid\n`,
    );
    if (!out.write(lines.join(''))) await once(out, 'drain');
  }
  out.end();
  await once(out, 'close');
}

function residentMb(pid: number): number {
  const [, pages] = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ').map(Number);
  return ((pages as number) * 4_096) / 1e6;
}

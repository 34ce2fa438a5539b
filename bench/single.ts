import type { ChildProcess } from 'node:child_process';
import { createTestDatabase } from '../test/support/databases.ts';
import { serveAsTheSeed, startServer2 } from '../test/support/real-mlflow.ts';
import { makeCustomers } from './customers.ts';
import { startService } from './service-process.ts';
import { type Load, type LoadResult, runLoad } from './load.ts';
import { useOf } from './process-use.ts';

export interface SingleOptions {
  callers: number[];
  /** Of each way at each number of callers, in each round. */
  durationMs: number;
  rounds: number;
}

export interface Way {
  name: string;
  load: Omit<Load, 'callers' | 'durationMs'>;
  processes: Record<string, ChildProcess>;
}

export interface SingleRow extends LoadResult {
  way: string;
  callers: number;
  /** By process: processor time a second of load, and memory at its end. */
  use: Record<string, { cpuPerSecond: number; residentMb: number }>;
}

const settleMs = 6_000;
const warmUpMs = 1_500;

/**
 * One customer a request: the seed's way, server 2 called directly, and this service on that server 2; against real
 * MLflow over TLS on this machine, with everything switched on. The ways take turns within one run.
 */
export async function benchSingle(options: SingleOptions): Promise<SingleRow[]> {
  await using server2 = await startServer2();
  await using seed = await serveAsTheSeed(server2, `models:/${server2.contract.model.name}/Production`);
  await using database = await createTestDatabase('PostgreSQL');
  await using service = await startService({
    ...database.environment,
    MODEL_SERVER_URL: server2.address.url,
    MODEL_SERVER_CA_FILE: server2.caFile,
    MODEL_CONTRACT: server2.contractFile,
  });

  const customers = makeCustomers(server2.contract, 20_000).map(({ byName, standardized }) => ({
    direct: JSON.stringify({ inputs: [standardized] }),
    toService: JSON.stringify({ features: byName }),
  }));
  const request = (path: string, body: string | undefined, headers = {}) => ({
    method: 'POST' as const,
    path,
    headers: { 'Content-Type': 'application/json', ...headers },
    body: body as string,
  });
  const invocation = (n: number) => request('/invocations', customers[n % customers.length]?.direct);
  const ca = server2.address.ca as string;
  const ways: Way[] = [
    {
      name: "a  the seed's way",
      load: { url: seed.url, ca, keepAlive: false, request: invocation },
      processes: { mlflow: seed.process },
    },
    {
      name: 'b  server 2 directly',
      load: { url: server2.address.url, ca, keepAlive: true, request: invocation },
      processes: { mlflow: server2.process },
    },
    {
      name: 'c  this service',
      load: {
        url: service.url,
        keepAlive: true,
        request: (n) =>
          request(`/v1/customers/C${n % customers.length}/label`, customers[n % customers.length]?.toService, {
            Authorization: `Bearer ${service.key}`,
          }),
      },
      processes: { service: service.process, mlflow: server2.process },
    },
  ];

  return await takeTurns(ways, options);
}

/** Each way in turn, round after round; of each the round in the middle. */
export async function takeTurns(ways: Way[], { callers, durationMs, rounds }: SingleOptions): Promise<SingleRow[]> {
  // as a service that has run for a while: compiled, its pools filled
  for (const way of ways) await runLoad({ ...way.load, callers: 64, durationMs: settleMs });
  const rows: SingleRow[] = [];
  for (const count of callers) {
    const parts = new Map<Way, SingleRow[]>(ways.map((way) => [way, []]));
    for (let round = 0; round < rounds; round += 1)
      for (const way of ways) parts.get(way)?.push(await measure(way, count, durationMs));
    rows.push(...[...parts.values()].map(middle));
  }
  return rows;
}

async function measure(way: Way, callers: number, durationMs: number): Promise<SingleRow> {
  await runLoad({ ...way.load, callers, durationMs: warmUpMs });
  const before = uses(way);
  const startedAt = performance.now();
  const result = await runLoad({ ...way.load, callers, durationMs });
  const seconds = (performance.now() - startedAt) / 1_000;
  const after = uses(way);
  const use = Object.fromEntries(
    Object.keys(way.processes).map((name) => [
      name,
      {
        cpuPerSecond: ((after[name]?.cpuMs ?? 0) - (before[name]?.cpuMs ?? 0)) / 1_000 / seconds,
        residentMb: after[name]?.residentMb ?? NaN,
      },
    ]),
  );
  return { way: way.name, callers, ...result, use };
}

function uses({ processes }: Way) {
  return Object.fromEntries(Object.entries(processes).map(([name, child]) => [name, useOf(child.pid as number)]));
}

/** The round in the middle by customers a second. */
function middle(rows: SingleRow[]): SingleRow {
  const failed = rows.reduce((sum, row) => sum + row.failed, 0);
  const sorted = rows.toSorted((a, b) => a.perSecond - b.perSecond);
  return { ...(sorted[Math.floor((sorted.length - 1) / 2)] as SingleRow), failed };
}

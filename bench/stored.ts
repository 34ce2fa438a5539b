import { readContract } from '../src/contract/contract.ts';
import { createTestDatabase, type DatabaseKind } from '../test/support/databases.ts';
import { makeCustomers } from './customers.ts';
import { type LoadResult, runLoad } from './load.ts';
import { useOf } from './process-use.ts';
import { startService } from './service-process.ts';

export interface StoredRow extends LoadResult {
  database: DatabaseKind;
  residentMb: number;
}

const customerCount = 5_000;
const customersPerCall = 1_000;

/** GET of a stored label, at so many callers, with an API key and the log at info, on each database. */
export async function benchStored(options: { callers: number; durationMs: number }): Promise<StoredRow[]> {
  const rows: StoredRow[] = [];
  for (const database of ['PostgreSQL', 'PGlite'] as const) rows.push(await measure(database, options));
  return rows;
}

async function measure(kind: DatabaseKind, { callers, durationMs }: { callers: number; durationMs: number }) {
  await using database = await createTestDatabase(kind);
  await using service = await startService(database.environment);
  const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${service.key}` };
  const customers = makeCustomers(readContract('config/rfc_tune/contract.json'), customerCount);
  for (let at = 0; at < customerCount; at += customersPerCall) {
    const part = customers
      .slice(at, at + customersPerCall)
      .map(({ byName }, i) => ({ id: `C${at + i}`, features: byName }));
    const body = JSON.stringify({ customers: part });
    const { status } = await fetch(`${service.url}/v1/labels`, { method: 'POST', headers, body });
    if (status !== 200) throw new Error(`labelling the customers to look up answered ${status}`);
  }
  const load = {
    url: service.url,
    keepAlive: true,
    callers,
    request: (n: number) => ({ method: 'GET' as const, path: `/v1/customers/C${n % customerCount}/label`, headers }),
  };
  await runLoad({ ...load, durationMs: 1_500 });
  const result = await runLoad({ ...load, durationMs });
  return { database: kind, ...result, residentMb: useOf(service.process.pid as number).residentMb };
}

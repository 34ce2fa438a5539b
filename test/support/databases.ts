import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';

/** Where a PostgreSQL for tests is; each suite makes a database of its own on it and drops it again. */
const serverUrl = process.env['TEST_POSTGRES_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres';

export type DatabaseKind = 'PGlite' | 'PostgreSQL';

/** The databases that the same suite runs on. A missing PostgreSQL is said, and under REAL_PEERS=required it fails. */
export async function databaseKinds(): Promise<DatabaseKind[]> {
  return (await isPostgresThere()) ? ['PGlite', 'PostgreSQL'] : ['PGlite'];
}

async function isPostgresThere(): Promise<boolean> {
  const client = new pg.Client({ connectionString: serverUrl, connectionTimeoutMillis: 1_000 });
  try {
    await client.connect();
    return true;
  } catch (cause) {
    const advice = `no PostgreSQL at ${serverUrl}: start one there, or set TEST_POSTGRES_URL`;
    if (process.env['REAL_PEERS'] === 'required') throw new Error(advice, { cause });
    process.stderr.write(`Only on PGlite: ${advice}.\n`);
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

export interface TestDatabase extends AsyncDisposable {
  /** What the service's settings take. */
  environment: Record<string, string>;
}

/** A fresh, empty database. */
export async function createTestDatabase(kind: DatabaseKind): Promise<TestDatabase> {
  if (kind === 'PGlite') return { environment: { DATA_DIR: 'memory://' }, [Symbol.asyncDispose]: async () => {} };
  const name = `customer_labels_${randomBytes(6).toString('hex')}`;
  await administer(`CREATE DATABASE ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return {
    environment: { DATABASE_URL: url.href },
    [Symbol.asyncDispose]: () => administer(`DROP DATABASE ${name} WITH (FORCE)`),
  };
}

/** A fresh, empty database that one service after another can open. */
export async function createLastingDatabase(kind: DatabaseKind): Promise<TestDatabase> {
  if (kind === 'PostgreSQL') return createTestDatabase(kind);
  const folder = mkdtempSync(join(tmpdir(), 'labels-'));
  return {
    environment: { DATA_DIR: folder },
    [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

async function administer(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: serverUrl });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

import { hash } from 'node:crypto';
import { Kysely, PGliteDialect, PostgresDialect, sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import pg from 'pg';
import type { Logger } from '../logger.ts';
import { migrations } from './migrations.ts';
import { openPGliteThread } from './pglite-thread.ts';
import type { Schema } from './schema.ts';

export type Queries = Kysely<Schema>;

export interface Database {
  queries: Queries;
  kind: 'postgres' | 'pglite';
  /** Brings the tables up to date. @throws when the database is away or knows a newer version than this service. */
  migrate(): Promise<void>;
  ping(): Promise<void>;
  /** What time it is where the database runs. */
  now(): Promise<Date>;
  close(): Promise<void>;
}

interface DatabaseOptions {
  settings: { url: string | null; dataDir: string };
  logger: Logger;
}

const statementTimeoutMs = 10_000;
const connectTimeoutMs = 3_000;
const poolSize = 8;

/**
 * PostgreSQL when an address is given, else PGlite in `dataDir` (created when missing; `memory://` keeps nothing).
 * Either is opened by the first query, which throws FolderInUseError when another process has PGlite's folder.
 */
export function createDatabase({ settings, logger }: DatabaseOptions): Database {
  const kind = settings.url === null ? 'pglite' : 'postgres';
  const dialect =
    settings.url === null
      ? new PGliteDialect({ pglite: () => openPGliteThread(settings.dataDir) })
      : postgresDialect(settings.url, logger);
  const queries = new Kysely<Schema>({ dialect });
  return {
    queries,
    kind,
    async migrate() {
      const provider = { getMigrations: async () => migrations };
      const { error } = await new Migrator({ db: queries, provider }).migrateToLatest();
      if (error) throw error;
    },
    async ping() {
      await sql`SELECT 1`.execute(queries);
    },
    async now() {
      const { rows } = await sql<{ now: Date }>`SELECT now()`.execute(queries);
      return (rows[0] as { now: Date }).now;
    },
    close: () => queries.destroy(),
  };
}

function postgresDialect(url: string, logger: Logger) {
  const pool = new pg.Pool({
    Client: PreparingClient,
    connectionString: url,
    max: poolSize,
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: statementTimeoutMs,
    statement_timeout: statementTimeoutMs,
    idle_in_transaction_session_timeout: statementTimeoutMs,
    keepAlive: true,
    application_name: 'customer-labels',
  });
  // Without a listener, an idle connection that breaks would end the process.
  pool.on('error', (error) => logger.warn({ err: error }, 'database connection lost'));
  return new PostgresDialect({ pool });
}

/**
 * Has PostgreSQL parse and plan a statement once for each connection, not each time: the planning took a third of a
 * single write. Their number stays small, since no value of a caller is ever part of a statement's text.
 */
class PreparingClient extends pg.Client {
  override query(...given: unknown[]): never {
    const [text, values, done] = given;
    const query = super.query.bind(this) as (...given: unknown[]) => never;
    if (typeof text !== 'string' || !Array.isArray(values) || values.length === 0) return query(...given);
    return query({ name: hash('sha1', text), text, values }, done);
  }
}

import { hash } from 'node:crypto';
import { Kysely, PGliteDialect, PostgresDialect, sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import pg from 'pg';
import type { Logger } from '../logger.ts';
import { migrations } from './migrations.ts';
import { openPGliteThread, type PGliteThread } from './pglite-thread.ts';
import type { Schema } from './schema.ts';

export type Queries = Kysely<Schema>;

export interface Database {
  queries: Queries;
  kind: 'postgres' | 'pglite';
  /** Brings the tables up to date. @throws when the database is away or knows a newer version than this service. */
  migrate(): Promise<void>;
  /** One statement with parameters, or several without, as the queue's library makes them. */
  run(text: string, parameters?: unknown[]): Promise<{ rows: unknown[] }>;
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
/** Writing thousands of labels in one statement: compiling it took a tenth of the time, sorting on disk another. */
const sessionOptions = '-c jit=off -c work_mem=32MB';

/**
 * PostgreSQL when an address is given, else PGlite in `dataDir` (created when missing; `memory://` keeps nothing).
 * Either is opened by the first query, which throws FolderInUseError when another process has PGlite's folder.
 */
export function createDatabase({ settings, logger }: DatabaseOptions): Database {
  const kind = settings.url === null ? 'pglite' : 'postgres';
  const { dialect, run } =
    settings.url === null ? usePGlite(settings.dataDir) : usePostgres(openPool(settings.url, logger));
  const queries = new Kysely<Schema>({ dialect });
  return {
    queries,
    kind,
    run,
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

function usePGlite(dataDir: string) {
  let opened: Promise<PGliteThread> | undefined;
  const open = () => (opened ??= openPGliteThread(dataDir));
  return {
    dialect: new PGliteDialect({ pglite: open }),
    async run(text: string, parameters: unknown[] = []) {
      const pglite = await open();
      if (parameters.length === 0) return pglite.exec(text);
      const { rows } = await pglite.query(text, parameters);
      return { rows };
    },
  };
}

function usePostgres(pool: pg.Pool) {
  return {
    dialect: new PostgresDialect({ pool }),
    async run(text: string, parameters: unknown[] = []) {
      // Of several statements there are several results
      const results = [await pool.query(text, parameters)].flat();
      return { rows: results.flatMap(({ rows }) => rows as unknown[]) };
    },
  };
}

function openPool(url: string, logger: Logger) {
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
    options: sessionOptions,
  });
  // Without a listener, an idle connection that breaks would end the process.
  pool.on('error', (error) => logger.warn({ err: error }, 'database connection lost'));
  // So would one that breaks in use: its query hears of the first error, nobody of what follows (EPIPE).
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
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

import pg from 'pg';
import Cursor, { type CursorQueryConfig } from 'pg-cursor';

/** Rows of somebody else's PostgreSQL, as they are asked for. */
export interface OpenQuery {
  columns: { name: string; typeId: number }[];
  /** Every value as the text that PostgreSQL shows; pages of the rows. */
  pages(): AsyncGenerator<(string | null)[][]>;
  close(): Promise<void>;
}

const pageRows = 2_000;
const connectTimeoutMs = 10_000;
const asText = { getTypeParser: () => (text: string) => text } as unknown as NonNullable<CursorQueryConfig['types']>;

/**
 * Runs one query in a read-only transaction and fetches its rows by a cursor: memory does not grow with the table, and
 * the query can change nothing.
 * @param signal ends it at once.
 * @throws what pg throws
 */
export async function openQuery({
  url,
  query,
  signal,
}: {
  url: string;
  query: string;
  signal: AbortSignal;
}): Promise<OpenQuery> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    application_name: 'customer-labels label',
  });
  // A connection that breaks shows in the next page
  client.on('error', () => {});
  const stop = () => void cancel(url, client).catch(() => {});
  signal.addEventListener('abort', stop, { once: true });
  try {
    await client.connect();
    await client.query('BEGIN TRANSACTION READ ONLY');
    // Its rows are fetched as fast as they can be sent on
    await client.query('SET LOCAL idle_in_transaction_session_timeout = 0');
    const cursor = client.query(new Cursor<(string | null)[]>(query, [], { rowMode: 'array', types: asText }));
    const first = await readPage(cursor);
    return {
      columns: first.columns,
      async *pages() {
        for (let { rows } = first; rows.length > 0; { rows } = await readPage(cursor)) yield rows;
      },
      close: () => client.end(),
    };
  } catch (error) {
    await client.end().catch(() => {});
    throw error;
  }
}

/** PostgreSQL would go on computing for somebody who has left. */
async function cancel(url: string, client: pg.Client): Promise<void> {
  const { processID } = client as unknown as { processID: number | null };
  const canceller = new pg.Client({ connectionString: url, connectionTimeoutMillis: connectTimeoutMs });
  try {
    await canceller.connect();
    await canceller.query('SELECT pg_cancel_backend($1)', [processID]);
  } finally {
    await Promise.all([canceller.end(), client.end()]);
  }
}

function readPage(
  cursor: Cursor<(string | null)[]>,
): Promise<{ rows: (string | null)[][] } & Pick<OpenQuery, 'columns'>> {
  return new Promise((resolve, reject) => {
    cursor.read(pageRows, (error: Error | undefined, rows, result?: pg.QueryResult) => {
      if (error) reject(error);
      else resolve({ rows, columns: describe(result) });
    });
  });
}

/** At the end of the rows there is no result any more. */
function describe(result: pg.QueryResult | undefined): OpenQuery['columns'] {
  return (result?.fields ?? []).map(({ name, dataTypeID: typeId }) => ({ name, typeId }));
}

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { withPauses } from '../src/cli/label/with-pauses.ts';
import { createTestDatabase, databaseKinds, type TestDatabase } from './support/databases.ts';
import { createLabelCommand } from './support/label-command.ts';
import { freePort } from './support/real-mlflow.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { until } from './support/until.ts';

const command = createLabelCommand();
let service: TestService;
beforeAll(async () => {
  service = await startTestService();
}, 60_000);
afterAll(async () => {
  await service[Symbol.asyncDispose]();
  command[Symbol.dispose]();
});

async function batches(): Promise<unknown[]> {
  const { body } = await service.http.get('/v1/batches?limit=100').expect(200);
  return body.batches;
}

const kinds = await databaseKinds();
const withPostgres = kinds.includes('PostgreSQL') ? describe : describe.skip;

withPostgres('from a query', () => {
  let source: TestDatabase;
  let client: pg.Client;
  let sourceUrl: string;
  beforeAll(async () => {
    source = await createTestDatabase('PostgreSQL');
    sourceUrl = source.environment['DATABASE_URL'] as string;
    client = new pg.Client({ connectionString: sourceUrl });
    await client.connect();
    const types = ['numeric(9,2)', 'integer', 'double precision', 'text', 'real', 'bigint'];
    const columns = service.contract.features.map(
      ({ name, type }, i) => `"${name}" ${type === 'binary' ? 'boolean' : types[i % types.length]}`,
    );
    const values = service.contract.features.map(({ type }, i) =>
      type === 'binary' ? 'n % 2 = 0' : `(n * 7 + ${i}) % 100`,
    );
    await client.query(
      `CREATE TABLE customers (codigo_cliente char(12), ${columns.join(', ')}, shop text, since date)`,
    );
    await client.query(
      `INSERT INTO customers SELECT 'Q' || lpad(n::text, 6, '0'), ${values.join(', ')}, 'Jaén', '2020-02-29'
       FROM generate_series(1, 5000) n`,
    );
    await client.query('UPDATE customers SET "total_day_minutes" = NULL WHERE codigo_cliente = $1', ['Q000003']);
  }, 60_000);
  afterAll(async () => {
    await client.end();
    await source[Symbol.asyncDispose]();
  });

  const ask = (query: string, ...words: string[]) =>
    command.label(['--from-sql', query, '--source-url', sourceUrl, '--url', service.url, ...words]);

  it('labels the rows of a table, once a day', async () => {
    const query = 'SELECT * FROM customers ORDER BY codigo_cliente';
    const { code, err } = await ask(query, '--out', command.place('q.ndjson'), '--rejected', command.place('r.ndjson'));
    expect(err).toMatch(/5,000 rows: 4,999 labelled/);
    expect(code).toBe(3);
    const lines = readFileSync(command.place('q.ndjson'), 'utf8').trim().split('\n');
    expect(lines.length).toBe(5_000);
    const [first] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const features = service.contract.features.map(({ name, type }, i) => [
      name,
      type === 'binary' ? 0 : (7 + i) % 100,
    ]);
    expect(first).toMatchObject({
      customerId: 'Q000001',
      input: { id: 'Q000001', features: Object.fromEntries(features), columns: { shop: 'Jaén', since: '2020-02-29' } },
      version: '1',
    });
    expect(readFileSync(command.place('r.ndjson'), 'utf8')).toMatch(
      /^\{"id":"Q000003"[^\n]*total_day_minutes[^\n]*\n$/,
    );
    const { body } = await service.http.get('/v1/customers/Q005000/label').expect(200);
    expect(body.customerId).toBe('Q005000');

    await client.query(`UPDATE customers SET shop = 'Lugo' WHERE codigo_cliente = 'Q000009'`);
    const before = (await batches()).length;
    expect(await ask(query)).toMatchObject({ code: 3, err: expect.stringContaining('was sent before') });
    expect((await batches()).length).toBe(before);
    expect(await ask(query, '--again')).toMatchObject({ code: 3 });
    expect((await batches()).length).toBe(before + 1);
  }, 60_000);

  it('changes nothing, whatever the query says', async () => {
    const deleting = await ask('DELETE FROM customers RETURNING *');
    expect(deleting).toMatchObject({ code: 1, err: expect.stringMatching(/refused the query: .*read-only/) });
    const two = await ask('SELECT * FROM customers; COMMIT; DROP TABLE customers');
    expect(two).toMatchObject({ code: 1, err: expect.stringMatching(/refused the query: .*multiple commands/) });
    const { rows } = await client.query('SELECT count(*)::int AS n FROM customers');
    expect(rows).toEqual([{ n: 5_000 }]);
  });

  it('says that a query gave no rows, and keeps nothing', async () => {
    const before = (await batches()).length;
    const { code, err } = await ask('SELECT * FROM customers WHERE false');
    expect(code).toBe(1);
    expect(err).toContain('The query gave no rows.');
    await until(async () => (await batches()).length === before);
  });

  it('says every column that is missing, in sentences', async () => {
    const { code, err } = await ask('SELECT codigo_cliente, 1 AS account_lenght FROM customers');
    expect(code).toBe(1);
    expect(err).toMatch(/columns of the query[^]*account_length: No column has this\. Did you mean "account_lenght"\?/);
  });

  it('leaves nothing behind when a row breaks the query half-way', async () => {
    const before = (await batches()).length;
    const query = `SELECT c.*, 1 / (CASE WHEN codigo_cliente = 'Q004900' THEN 0 ELSE 1 END) AS x FROM customers c ORDER BY 1`;
    expect(await ask(query)).toMatchObject({ code: 1, err: expect.stringMatching(/division by zero/) });
    await until(async () => (await batches()).length === before);
  });

  it('leaves nobody computing when it is interrupted', async () => {
    const isAsking = async () => {
      const { rows } = await client.query(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep(299)%'",
      );
      return rows.length > 0;
    };
    const words = ['--from-sql', 'SELECT pg_sleep(299)', '--source-url', sourceUrl, '--url', service.url];
    const { child, ran } = command.start(words);
    await until(isAsking);
    child.kill('SIGTERM');
    expect(await ran).toMatchObject({ code: 1, err: expect.stringMatching(/Nothing was kept[^]*Interrupted/) });
    await until(async () => !(await isAsking()));
  });

  it('ends with 4 when the source is away, and shows no password', async () => {
    const away = `postgres://erp:secret@127.0.0.1:${await freePort()}/erp`;
    const words = ['--from-sql', 'SELECT 1', '--url', service.url];
    const { code, err } = await command.label(words, { CUSTOMER_LABELS_SOURCE_URL: away });
    expect(code).toBe(4);
    expect(err).toMatch(/source database at 127\.0\.0\.1:\d+ does not answer/);
    expect(err).not.toContain('secret');
  });
});

it('gives a sign of life while nothing comes', async () => {
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  async function* slowly() {
    for (const [i, { promise }] of gates.entries()) {
      await promise;
      yield i;
    }
  }
  const seen: (number | 'pause')[] = [];
  for await (const one of withPauses(slowly(), 5)) {
    seen.push(one);
    if (seen.filter((each) => each === 'pause').length === 2) gates[0]?.resolve();
    if (seen.filter((each) => each === 'pause').length === 4) gates[1]?.resolve();
  }
  expect(seen.filter((one) => one !== 'pause')).toEqual([0, 1]);
  expect(seen.slice(0, 2)).toEqual(['pause', 'pause']);
  expect(seen.at(-1)).toBe(1);
});

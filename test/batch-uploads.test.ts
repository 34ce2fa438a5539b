import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { createTestDatabase, databaseKinds, type TestDatabase } from './support/databases.ts';
import { labelList, progressOf, sendList, toyList, untilEnded } from './support/lists.ts';
import { type StandIn, startStandIn } from './support/stand-in-model-server.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { toyContract } from './support/toy-model.ts';
import { until } from './support/until.ts';

const maxRows = 100_000;

describe.each(await databaseKinds())('an upload on %s', (kind) => {
  let database: TestDatabase;
  let test: TestService;
  let standIn: StandIn;
  beforeAll(async () => {
    standIn = await startStandIn();
    database = await createTestDatabase(kind);
    test = await startTestService({
      on: database,
      contract: toyContract(),
      modelServer: standIn.address,
      environment: { MAX_LIST_ROWS: String(maxRows) },
    });
  }, 60_000);
  afterAll(async () => {
    await test[Symbol.asyncDispose]();
    await standIn[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  /** How many lists there are, and chunks where the database can be looked into from here. */
  async function kept() {
    if (kind === 'PGlite')
      return { lists: (await test.http.get('/v1/batches?limit=100').expect(200)).body.batches.length };
    const client = new pg.Client({ connectionString: database.environment['DATABASE_URL'] });
    await client.connect();
    const { rows } = await client.query(
      'SELECT (SELECT count(*)::int FROM batches) AS lists, (SELECT count(*)::int FROM batch_chunks) AS chunks',
    );
    await client.end();
    return rows[0];
  }

  /** Sends a head that promises a CSV without end. */
  function openUpload(key: string) {
    const upload = request(`${test.url}/v1/batches`, {
      method: 'POST',
      headers: { 'Content-Type': 'text/csv', 'Idempotency-Key': key },
    });
    const answered = new Promise<{ status: number; text: string }>((resolve, reject) => {
      upload.once('error', reject);
      upload.once('response', (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        response.once('end', () => resolve({ status: response.statusCode as number, text }));
        response.once('error', reject);
      });
    });
    answered.catch(() => {});
    return { upload, answered };
  }

  describe('with an Idempotency-Key', () => {
    it('gives the same list for the same file, before its end and after', async () => {
      const key = randomUUID();
      const first = await sendList(test, toyList(3), { key }).expect(202);
      const second = await sendList(test, toyList(3), { key }).expect(202);
      await untilEnded(test, first.body.id);
      const third = await sendList(test, toyList(3), { key }).expect(202);
      expect([second.body.id, third.body.id]).toEqual([first.body.id, first.body.id]);
      expect(third.headers['location']).toBe(`/v1/batches/${first.body.id}`);
      expect(third.body.state).toBe('succeeded');
    });

    it('refuses another file, and the same one understood otherwise', async () => {
      const key = randomUUID();
      await sendList(test, toyList(3), { key }).expect(202);
      const others = [
        sendList(test, toyList(4), { key }),
        sendList(test, toyList(3), { key, query: '?decimal=,' }),
        sendList(test, toyList(3), { key, type: 'application/x-ndjson' }),
        sendList(test, '{"from":"stored"}', { key, type: 'application/json' }),
      ];
      for (const other of others) expect((await other.expect(422)).body.code).toBe('idempotency_conflict');
    });

    it('makes one list of fifty at once', async () => {
      const before = await kept();
      const key = randomUUID();
      const file = toyList(5_000);
      const answers = await Promise.all(Array.from({ length: 50 }, () => sendList(test, file, { key })));
      const made = answers.filter(({ status }) => status === 202);
      expect(made.length).toBeGreaterThan(0);
      expect(new Set(made.map(({ body }) => body.id)).size).toBe(1);
      for (const { status, body } of answers)
        if (status !== 202) expect([status, body.code]).toEqual([409, 'idempotency_in_progress']);
      expect((await kept()).lists).toBe(before.lists + 1);
      const batch = await untilEnded(test, made[0]?.body.id);
      expect(batch.rows).toMatchObject({ total: 5_000, labelled: 5_000 });
    }, 60_000);

    it('must have a key, and one that can be written down', async () => {
      const without = await test.http.post('/v1/batches').set('Content-Type', 'text/csv').send(toyList(1)).expect(400);
      expect(without.body.code).toBe('missing_idempotency_key');
      for (const key of ['', ' ', 'a b', 'ñ', 'x'.repeat(256)]) {
        const { status, body } = await sendList(test, toyList(1), { key });
        if (key.trim() === '') expect([400, 422]).toContain(status);
        else expect([status, body.errors[0].pointer]).toEqual([422, '#/header/Idempotency-Key']);
      }
      await sendList(test, toyList(1), { key: 'x'.repeat(255) }).expect(202);
    });

    it('may be tried again after an upload that failed', async () => {
      const key = randomUUID();
      await sendList(test, 'id;height\n1;2\n', { key }).expect(422);
      expect(await labelList(test, toyList(2), { key })).toMatchObject({ state: 'succeeded' });
    });
  });

  it('cut off half-way leaves nothing behind, and its key is free', async () => {
    const before = await kept();
    const key = randomUUID();
    const { upload } = openUpload(key);
    upload.write(toyList(40_000));
    // Chunks of it are there
    await until(async () => (await kept()).lists > before.lists);
    if (kind === 'PostgreSQL') await until(async () => (await kept()).chunks >= before.chunks + 2);
    await sleep(100);
    upload.destroy();
    await until(async () => (await kept()).lists === before.lists);
    expect(await kept()).toEqual(before);
    await test.http.get('/health').expect(200);
    expect(await labelList(test, toyList(2), { key })).toMatchObject({ state: 'succeeded' });
    expect(test.log()).not.toMatch(/unexpected error|"code":"database_unavailable"/);
  }, 60_000);

  it.each([
    ['multipart/form-data; boundary=x', {}],
    ['text/plain', {}],
    ['', {}],
    ['text/csv', { 'Content-Encoding': 'gzip' }],
    ['application/json', { 'Content-Encoding': 'br' }],
    ['application/vnd.ms-excel', {}],
  ])('as %s %o is refused', async (type, headers) => {
    const { body } = await sendList(test, Buffer.from(toyList(2)), { type, headers }).expect(415);
    expect(body.code).toBe('unsupported_media_type');
  });

  it('says which types it takes', async () => {
    const { body } = await sendList(test, toyList(2), { type: 'text/plain' }).expect(415);
    expect(body.errors[0]).toMatchObject({ pointer: '#/header/Content-Type' });
    expect(body.errors[0].detail).toContain('text/csv');
    expect(body.title).not.toContain('JSON');
  });

  const zip = Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(400, 7)]);
  it.each([
    ['an empty file', '', ['list_empty']],
    ['a mark alone', '\uFEFF', ['list_empty']],
    ['a header alone', 'id;height;visits;vip\n', ['list_empty']],
    ['a spreadsheet', zip, ['not_a_text_file']],
    ['two columns of a name', 'id;height;visits;vip;vip\n1;170;4;1;0\n', ['column_ambiguous', 'duplicate_column']],
    ['a header without features', 'id;heigth;visit\n1;2;3\n', ['column_missing', 'column_missing', 'column_missing']],
    ['no header', '1;170;4;0\n2;170;4;0\n', undefined],
    ['an open quote', 'id;height;visits;vip\n1;"170;4;0\n', ['quote_not_closed']],
  ])('of %s is refused with all that is wrong', async (_, file, codes) => {
    const before = await kept();
    const { body } = await sendList(test, file).expect(422);
    expect(body.code).toBe('invalid_list');
    const found = body.errors.map(({ code }: { code: string }) => code).sort();
    if (codes) expect(found).toEqual(codes);
    expect(await kept()).toEqual(before);
    await sendList(test, file, { query: '?dryRun=true' }).expect(422);
  });

  it('with a slip in a name is asked what it meant', async () => {
    const { body } = await sendList(test, 'id;heigth;visits;vip\n1;2;3;1\n').expect(422);
    expect(body.errors).toEqual([
      expect.objectContaining({ pointer: '#/columns/height', detail: expect.stringContaining('"heigth"') }),
    ]);
  });

  it.each(['?decimal=x', '?delimiter=ab', '?encoding=ebcdic', '?dryRun=1', '?scale=none', '?what=1'])(
    'with the query %s is refused',
    async (query) => {
      const { body } = await sendList(test, toyList(1), { query }).expect(422);
      expect(body.code).toBe('invalid_request');
    },
  );

  it.each([['{}'], ['{"from":"erp"}'], ['{"from":"stored","more":1}'], ['[]']])(
    'of the JSON %s is refused',
    async (json) => {
      await sendList(test, json, { type: 'application/json' }).expect(422);
    },
  );

  it('of JSON that is none is refused', async () => {
    await sendList(test, '{"from":', { type: 'application/json' }).expect(400);
    await sendList(test, JSON.stringify({ from: 'x'.repeat(10_000) }), { type: 'application/json' }).expect(413);
  });

  it('is read by the cells that can be read one way only, however late they come', async () => {
    const rows = (height: string, count: number, from: number) =>
      Array.from({ length: count }, (_, i) => `C${from + i}|${height}|4|0\n`).join('');
    const file = `id|height|visits|vip\n${rows('1.234', 2_200, 0)}${rows('204,5', 3_800, 2_200)}`;
    const { body } = await sendList(test, file, { query: '?dryRun=true' }).expect(200);
    expect(body).toMatchObject({
      format: { decimal: { is: ',', from: 'cells' } },
      rows: { total: 6_000, accepted: 6_000, rejected: 0 },
      firstRows: [{ features: { height: 1234 } }, {}, {}, {}, {}],
    });
  });

  it('does as the caller says of the file', async () => {
    const tabs = toyList(2).replaceAll(';', '\t');
    const { body } = await sendList(test, tabs, { query: '?delimiter=tab&decimal=,&encoding=windows-1252' }).expect(
      202,
    );
    expect(await untilEnded(test, body.id)).toMatchObject({
      state: 'succeeded',
      format: { delimiter: '\t', decimal: ',', encoding: 'windows-1252', decimalFrom: 'given' },
    });
    expect((await progressOf(test, body.id)).rows.labelled).toBe(2);
  });
});

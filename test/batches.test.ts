import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parse } from 'csv-parse/sync';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { databaseKinds } from './support/databases.ts';
import { fetchList, labelList, progressOf, sendList, toyLabelOf, toyList, untilEnded } from './support/lists.ts';
import { type StandIn, startStandIn } from './support/stand-in-model-server.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { readList } from './support/read-list.ts';
import { toyContract, toyCustomer } from './support/toy-model.ts';

const example = readFileSync('examples/clientes.csv');

describe.each(await databaseKinds())('the sample list on %s', (database) => {
  let test: TestService;
  let batch: Awaited<ReturnType<typeof labelList>>;
  beforeAll(async () => {
    test = await startTestService({ database });
    batch = await labelList(test, example);
  }, 60_000);
  afterAll(async () => {
    await test[Symbol.asyncDispose]();
  });

  const read = readList(example);
  const accepted = read.rows.filter((row) => 'vector' in row);

  it('is counted row by row, and told how it was understood', () => {
    expect(batch).toMatchObject({
      state: accepted.length === read.rows.length ? 'succeeded' : 'partially_succeeded',
      reason: null,
      rows: { total: read.rows.length, labelled: accepted.length, rejected: read.rows.length - accepted.length },
      format: { encoding: 'windows-1252', delimiter: ';', decimal: ',' },
      etaSeconds: null,
    });
    const { labelled } = batch.rows;
    expect(Object.values(batch.modelVersions)).toEqual([labelled]);
    const distinct = new Set(accepted.map(({ customerId }) => customerId)).size;
    expect(batch.rows.duplicates).toBe(labelled - distinct);
  });

  it('has the labels that single customers get, stored, and keeps the bytes of its own cells', async () => {
    const results = await fetchList(test, `${batch.id}/results`, { 'Accept-Language': 'es' });
    expect(results).toMatchObject({ status: 200, type: 'text/csv; charset=windows-1252' });
    const given = example.toString('latin1').split(/\r?\n/);
    const written = results.bytes.toString('latin1').split(/\r?\n/);
    expect(written).toHaveLength(given.length);
    // Every line stands there byte for byte, with more behind it where a row ends; but for cells that were defused
    const touched = given.flatMap((line, i) =>
      written[i] === line || written[i]?.startsWith(`${line};`) ? [] : [written[i] as string],
    );
    expect(touched.filter((line) => !/;'[=+@-]/.test(line))).toEqual([]);
    expect(touched.length).toBeLessThan(given.length / 20);
    const records: string[][] = parse(results.bytes.toString('latin1'), { delimiter: ';', relax_quotes: true });
    for (const { customerId, vector, row } of accepted.slice(0, 20)) {
      const features = Object.fromEntries(test.contract.features.map(({ name }, i) => [name, vector.given[i]]));
      const single = await test.http.post(`/v1/customers/${randomUUID()}/label`).send({ features }).expect(200);
      const stored = await test.http.get(`/v1/customers/${encodeURIComponent(customerId)}/label`).expect(200);
      const { label, name, model, probability } = single.body;
      const isLast = accepted.findLast((other) => other.customerId === customerId)?.row === row;
      if (isLast) expect(stored.body).toMatchObject({ label, name, model, probability, freshness: { stale: false } });
      const cells = records[row + 1] as string[];
      expect(cells.at(-5)).toBe(String(label));
      expect(Number(cells.at(-3)?.replace(',', '.'))).toBeCloseTo(probability, 5);
      expect(cells.at(-2)).toBe(model.version);
      const history = await test.http.get(`/v1/customers/${encodeURIComponent(customerId)}/labels`).expect(200);
      expect(history.body.labels.length).toBeGreaterThan(0);
    }
  }, 60_000);

  it('comes as NDJSON when Accept asks for it', async () => {
    const results = await fetchList(test, `${batch.id}/results`, { Accept: 'application/x-ndjson' });
    expect(results.type).toBe('application/x-ndjson; charset=utf-8');
    const lines = results.bytes.toString().trimEnd().split('\n');
    const rows = lines.map((line) => JSON.parse(line));
    expect(rows).toHaveLength(read.rows.length);
    expect(rows.filter(({ label }) => label !== undefined)).toHaveLength(accepted.length);
    expect(rows[0].input['Código cliente']).toBe('ES000001');
  });
});

const badRows = [
  'id;height;visits;vip;note',
  'G1;170;4;0;=1+1',
  ';170;4;0;no id',
  'G2;tall;4;0;a word',
  'G3;170;4.5;0;half a visit',
  'G4;170;-4;7;"two, with a ; in it"',
  'G5;170;4',
  'G6;190;2;1;-5',
].join('\n');

describe.each(await databaseKinds())('lists on %s', (database) => {
  let test: TestService;
  let standIn: StandIn;
  beforeAll(async () => {
    standIn = await startStandIn();
    test = await startTestService({ database, contract: toyContract(), modelServer: standIn.address });
  }, 60_000);
  afterAll(async () => {
    await test[Symbol.asyncDispose]();
    await standIn[Symbol.asyncDispose]();
  });

  it('gives each refused row back with line, field, code and reason, to be mended and sent again', async () => {
    const batch = await labelList(test, badRows);
    expect(batch).toMatchObject({ state: 'partially_succeeded', rows: { total: 7, labelled: 2, rejected: 5 } });
    expect(batch.errors).toContainEqual(
      expect.objectContaining({ code: 'not_a_number', column: 'height', lines: [4] }),
    );
    const results = (await fetchList(test, `${batch.id}/results`)).bytes.toString().split('\n');
    expect(results[1]).toBe("G1;170;4;0;'=1+1;middle;middle;;7;");
    expect(results[7]).toBe('G6;190;2;1;-5;high;high;;7;');

    const reasons = { en: /must be a number/, es: /Debe ser un número/ };
    for (const [language, reason] of Object.entries(reasons)) {
      const { bytes } = await fetchList(test, `${batch.id}/rejected`, { 'Accept-Language': language });
      const lines = bytes.toString().trimEnd().split('\n');
      expect(lines).toHaveLength(6);
      expect(lines[0]).toBe('id;height;visits;vip;note;rejected_line;rejected_field;rejected_code;rejected_reason');
      expect(lines[2]).toMatch(/^G2;tall;4;0;a word;4;height;not_a_number;/);
      expect(lines[2]).toMatch(reason);
      expect(lines[4]).toMatch(/;6;visits \| vip;not_allowed_value \| not_allowed_value;/);
    }

    const { bytes } = await fetchList(test, `${batch.id}/rejected`);
    const mended = bytes
      .toString()
      .replace('\n;170', '\nG0;170')
      .replace('tall', '150')
      .replace(';4.5;', ';4;')
      .replace('-4;7', '4;1')
      .replace('G5;170;4;;', 'G5;170;4;0;');
    const again = await labelList(test, mended);
    expect(again).toMatchObject({ state: 'succeeded', rows: { total: 5, labelled: 5, rejected: 0 } });
    const answered = (await fetchList(test, `${again.id}/results`)).bytes.toString();
    expect(answered.split('\n')[0]).toBe('id;height;visits;vip;note;label;text;probability;version;error');
  });

  it.each(['utf-16le', 'utf-8'] as const)('answers a %s file with its mark in its own encoding', async (encoding) => {
    const text = `\uFEFF${toyList(3)
      .replace('vip', 'vip;Año')
      .replaceAll(/(\d)\n/g, '$1;ñ€\n')}`;
    const bytes = Buffer.from(text, encoding === 'utf-8' ? 'utf8' : 'utf16le');
    const batch = await labelList(test, bytes);
    expect(batch.state).toBe('succeeded');
    const results = await fetchList(test, `${batch.id}/results`);
    expect(results.type).toBe(`text/csv; charset=${encoding}`);
    const read = results.bytes.toString(encoding === 'utf-8' ? 'utf8' : 'utf16le');
    expect(read.split('\n')[0]).toBe('\uFEFFid;height;visits;vip;Año;label;text;probability;version;error');
    expect(read.split('\n')[1]).toMatch(/^C0;150;6;0;ñ€;low/);
  });

  it('takes NDJSON, carries its other members, and gives back what was refused', async () => {
    const good = { id: 'N1', shop: 'Jaén', ...toyCustomer('high') };
    const lines = [
      JSON.stringify(good),
      '{"id":"N2","features":{"height":1}}',
      'no json',
      '[1]',
      '{"id":"N3","id":"x"}',
    ];
    const batch = await labelList(test, lines.join('\n'), { type: 'application/x-ndjson' });
    expect(batch).toMatchObject({ rows: { total: 5, labelled: 1, rejected: 4 }, format: null });
    const results = (await fetchList(test, `${batch.id}/results`)).bytes.toString().trimEnd().split('\n');
    expect(JSON.parse(results[0] as string)).toMatchObject({ line: 1, customerId: 'N1', input: good, label: 'high' });
    const rejected = (await fetchList(test, `${batch.id}/rejected`, { Accept: 'text/csv' })).bytes.toString();
    const [first, second] = rejected.split('\n').map((line) => line && JSON.parse(line));
    expect(first.rejected.errors.map(({ code }: { code: string }) => code)).toEqual([
      'feature_missing',
      'feature_missing',
    ]);
    expect(second.rejected).toMatchObject({ line: 3, text: 'no json', errors: [{ code: 'malformed_json' }] });
    const mended = { ...first, ...toyCustomer('low') };
    const again = await labelList(test, JSON.stringify(mended), { type: 'application/x-ndjson' });
    expect(again).toMatchObject({ state: 'succeeded', rows: { labelled: 1 } });
  });

  it('tells of the most frequent faults only, however many kinds there are', async () => {
    const lines = Array.from({ length: 400 }, (_, i) =>
      JSON.stringify({ id: `K${i}`, features: { ...toyCustomer().features, [`unknown ${i}`]: 1 } }),
    );
    const batch = await labelList(test, lines.join('\n'), { type: 'application/x-ndjson' });
    expect(batch).toMatchObject({ state: 'failed', rows: { total: 400, labelled: 0, rejected: 400 } });
    expect(batch.errors).toHaveLength(100);
  });

  it('labels 40,000 rows in chunks; a customer who stands twice gets the later label, and that is told', async () => {
    const rows = 40_000;
    // Every tenth stands again 20,000 rows further down, in another chunk, with another label
    const idOf = (row: number) => (row % 10 === 0 ? `T${row % 20_000}` : `L${row}`);
    const batch = await labelList(test, toyList(rows, idOf));
    expect(batch).toMatchObject({ state: 'succeeded', rows: { total: rows, labelled: rows, duplicates: 2_000 } });
    for (const row of [0, 10, 12_340]) {
      expect(toyLabelOf(row)).not.toBe(toyLabelOf(row + 20_000));
      const { body } = await test.http.get(`/v1/customers/T${row}/label`).expect(200);
      expect(body.label).toBe(toyLabelOf(row + 20_000));
      const history = await test.http.get(`/v1/customers/T${row}/labels`).expect(200);
      expect(history.body.labels.map(({ label }: { label: string }) => label)).toEqual([
        toyLabelOf(row + 20_000),
        toyLabelOf(row),
      ]);
    }
    const results = (await fetchList(test, `${batch.id}/results`)).bytes.toString().trimEnd().split('\n');
    expect(results).toHaveLength(rows + 1);
    const wrong = results.slice(1).filter((line, row) => {
      const cells = line.split(';');
      return cells[0] !== idOf(row) || cells[4] !== toyLabelOf(row);
    });
    expect(wrong).toEqual([]);
  }, 60_000);

  it('has a dry run that says how the file is understood, and keeps nothing', async () => {
    const before = (await test.http.get('/v1/batches?limit=100').expect(200)).body.batches.length;
    const { body } = await test.http
      .post('/v1/batches?dryRun=true')
      .set('Content-Type', 'text/csv')
      .send(badRows)
      .expect(200);
    expect(body.rows).toMatchObject({ total: 7, accepted: 2, rejected: 5 });
    expect(body.format.delimiter.is).toBe(';');
    expect(body.firstRows[0]).toMatchObject({ line: 2, customerId: 'G1', features: { height: 170 } });
    expect((await test.http.get('/v1/batches?limit=100')).body.batches).toHaveLength(before);
  });

  it('pages through the lists, newest first', async () => {
    const made: string[] = [];
    for (let i = 0; i < 5; i += 1) made.unshift((await sendList(test, toyList(1)).expect(202)).body.id);
    for (const id of made) await untilEnded(test, id);
    const seen: string[] = [];
    let next = '';
    do {
      const { body } = await test.http.get(`/v1/batches?limit=2${next && `&cursor=${next}`}`).expect(200);
      seen.push(...body.batches.map(({ id }: { id: string }) => id));
      next = body.next;
    } while (next && seen.length < 100);
    expect(seen.slice(0, 5)).toEqual(made);
    expect(new Set(seen).size).toBe(seen.length);
    await test.http.get('/v1/batches?limit=0').expect(422);
    await test.http.get('/v1/batches?cursor=nonsense').expect(422);
  });

  it.each([randomUUID(), 'x', '%00', '..%2f..', 'x'.repeat(2_000)])('knows no list %#', async (id) => {
    for (const path of ['', '/events', '/results', '/rejected']) {
      const { body } = await test.http.get(`/v1/batches/${id}${path}`).expect(404);
      expect(body.code).toBe('batch_not_found');
    }
    await test.http.delete(`/v1/batches/${id}`).expect(404);
  });

  it('says where a new list is, and counts its rows in the metrics', async () => {
    const rowsOf = async (outcome: string) => {
      const { text } = await test.http.get('/metrics').expect(200);
      return Number(
        new RegExp(`^customer_labels_list_rows_total\\{outcome="${outcome}"\\} (\\d+)`, 'm').exec(text)?.[1],
      );
    };
    const before = { labelled: await rowsOf('labelled'), rejected: await rowsOf('rejected') };
    const { headers, body } = await sendList(test, badRows).expect(202);
    expect(headers['location']).toBe(`/v1/batches/${body.id}`);
    await untilEnded(test, body.id);
    expect(await rowsOf('labelled')).toBe(before.labelled + 2);
    expect(await rowsOf('rejected')).toBe(before.rejected + 5);
    expect(await progressOf(test, body.id)).toMatchObject({ id: body.id });
    const told = test
      .log()
      .split('\n')
      .filter((line) => line.includes(body.id) && line.includes('a list ended'));
    expect(told).toHaveLength(1);
    expect(test.log()).not.toMatch(/"G1"|tall/);
  });
});

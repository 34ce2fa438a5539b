import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { generateCsv } from './support/generated-lists.ts';
import { createLabelCommand, type LabelCommand } from './support/label-command.ts';
import { freePort } from './support/real-mlflow.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { until } from './support/until.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
}, 60_000);
afterAll(async () => service[Symbol.asyncDispose]());

let command: LabelCommand;
beforeEach(() => {
  command = createLabelCommand();
});
afterEach(() => command[Symbol.dispose]());

const label: LabelCommand['label'] = (...given) => command.label(...given);
const start: LabelCommand['start'] = (...given) => command.start(...given);
const place = (name: string) => command.place(name);
const read = (name: string) => command.read(name);

function example(): string {
  copyFileSync('examples/clientes.csv', place('clientes.csv'));
  return place('clientes.csv');
}

function list(name: string, rows: number): string {
  writeFileSync(place(name), generateCsv(service.contract, rows));
  return place(name);
}

async function batches(): Promise<{ id: string; state: string; rows: { total: number } }[]> {
  const { body } = await service.http.get('/v1/batches?limit=100').expect(200);
  return body.batches;
}

describe('through a running service', () => {
  it('writes the list back with its labels, and what was rejected beside it', async () => {
    const { code, out, err } = await label([example(), '--url', service.url]);
    expect({ code, out }).toEqual({ code: 3, out: '' });
    expect(err).toMatch(
      /240 rows: 233 labelled \(version 1: 233\), 7 rejected\.[^]*line 13[^]*clientes\.labelled\.csv/,
    );
    const given = read('clientes.csv').split('\r\n');
    const labelled = read('clientes.labelled.csv').split('\r\n');
    expect(labelled[0]).toBe(`${given[0]};label;text;probability;version;error`);
    expect(labelled.length).toBe(given.length);
    const changed = given.flatMap((line, i) => (labelled[i]?.startsWith(line) ? [] : [i + 1]));
    expect(changed).toEqual([]);
    expect(labelled.filter((line) => /;[01];(Stays|Leaves);\d(,\d+)?;1;$/.test(line)).length).toBe(233);
    expect(read('clientes.rejected.csv').split('\r\n').length).toBe(9);
    expect(readdirSync(command.folder).filter((name) => name.includes('.part'))).toEqual([]);
  });

  it('speaks Spanish, and ends with 0 when all are labelled', async () => {
    const file = list('todos.csv', 50);
    const { code, err } = await label([file, '--url', service.url], { DEFAULT_LOCALE: 'es' });
    expect(code).toBe(0);
    expect(err).toMatch(/50 filas: 50 etiquetadas \(versión 1: 50\), 0 rechazadas\.\nResultados: /);
    expect(read('todos.labelled.csv')).toMatch(/;(Se queda|Se va);|,(Se queda|Se va),/);
    expect(existsSync(place('todos.rejected.csv'))).toBe(false);
  });

  it('finds the same list again instead of labelling twice, and labels a cancelled one, or one --again, anew', async () => {
    const file = list('repeat.csv', 31);
    const ours = async () => (await batches()).filter(({ rows }) => rows.total === 31);
    expect(await label([file, '--url', service.url])).toMatchObject({ code: 0 });
    const again = await label([file, '--url', service.url, '--force']);
    expect(again).toMatchObject({ code: 0, err: expect.stringContaining('was sent before') });
    expect((await ours()).length).toBe(1);
    expect(await label([file, '--url', service.url, '--force', '--again'])).toMatchObject({ code: 0 });
    expect((await ours()).length).toBe(2);
    // Without --again, the newest of them is the one
    const newest = await label([file, '--url', service.url, '--force']);
    const [sentLast] = (await ours()) as unknown as { createdAt: string }[];
    const at = new Date(sentLast?.createdAt ?? '').toLocaleString('en');
    expect(newest).toMatchObject({ code: 0, err: expect.stringContaining(`was sent before (${at})`) });
    expect((await ours()).length).toBe(2);
  }, 60_000);

  it('reads standard input and writes to standard output', async () => {
    const { child, ran } = start(['-', '--url', service.url]);
    child.stdin?.end(readFileSync(list('pipe.csv', 20)));
    const { code, out } = await ran;
    expect([code, out.trim().split('\n').length]).toEqual([0, 21]);
    expect(out.split('\n')[0]).toMatch(/label.text.probability.version.error/);
  });

  it('takes NDJSON, and refuses options that it has no use for', async () => {
    const { features } = service.contract;
    const row = { id: 'N1', features: Object.fromEntries(features.map(({ name }) => [name, 1])), shop: 'Jaén' };
    writeFileSync(place('n.jsonl'), `${JSON.stringify(row)}\n{"id":"N2","features":{}}\n`);
    expect(await label([place('n.jsonl'), '--decimal', ','])).toMatchObject({ code: 2 });
    expect(await label([place('n.jsonl'), '--url', service.url])).toMatchObject({ code: 3 });
    const [first] = readFileSync(place('n.labelled.jsonl'), 'utf8').split('\n');
    expect(JSON.parse(first as string)).toMatchObject({ customerId: 'N1', input: { shop: 'Jaén' }, version: '1' });
    expect(readFileSync(place('n.rejected.jsonl'), 'utf8')).toMatch(/^\{"id":"N2"[^\n]*feature_missing[^\n]*\n$/);
  });

  it.each([
    ['en', /nothing was kept[^]*windows-1252[^]*account_length +← {2}Antigüedad de la cuenta[^]*204\.3[^]*line 13/i],
    ['es', /no se ha guardado nada[^]*signo decimal +, +por las celdas[^]*204,3[^]*línea 13/],
  ])('prints what a dry run found, in %s', async (locale, found) => {
    const before = (await batches()).length;
    const { code, out } = await label([example(), '--url', service.url, '--dry-run'], { DEFAULT_LOCALE: locale });
    expect(code).toBe(3);
    expect(out).toMatch(found);
    expect((await batches()).length).toBe(before);
    expect(readdirSync(command.folder)).toEqual(['clientes.csv']);
  });

  it.each([
    ['en', '1 rows have a customer who stands again further down.'],
    ['es', '1 filas tienen un cliente que vuelve a salir más abajo.'],
  ])('says in a dry run who stands twice, in %s', async (locale, said) => {
    const [header, first] = readFileSync(example(), 'latin1').split('\r\n');
    writeFileSync(place('twice.csv'), [header, first, first, ''].join('\r\n'), 'latin1');
    const { code, out } = await label([place('twice.csv'), '--url', service.url, '--dry-run'], {
      DEFAULT_LOCALE: locale,
    });
    expect(code).toBe(0);
    expect(out).toContain(said);
    rmSync(place('twice.csv'));
  });

  it('says every fault of a list with its column and its cure, and ends with 1', async () => {
    writeFileSync(place('bad.csv'), 'customer_id;account_lenght;Provincia;Provincia\nC1;1;x;y\n');
    const { code, err } = await label([place('bad.csv'), '--url', service.url]);
    expect(code).toBe(1);
    expect(err).toMatch(
      /account_length: No column has this\. Did you mean "account_lenght"\? → Add the column, or rename/,
    );
    expect(err).toMatch(/column 4: Another column is called "Provincia" too\. → Rename/);
    expect(err.match(/No column has this/g)?.length).toBe(12);
    expect(existsSync(place('bad.labelled.csv'))).toBe(false);
  });

  it('wants a key where the service does', async () => {
    await using closed = await startTestService({ environment: { ACCESS: 'own' } });
    const { key } = await closed.service.keys.create({ name: 'night', role: 'operator' });
    const file = list('keyed.csv', 10);
    expect(await label([file, '--url', closed.url])).toMatchObject({
      code: 1,
      err: expect.stringContaining('CUSTOMER_LABELS_KEY'),
    });
    expect(await label([file, '--url', closed.url], { CUSTOMER_LABELS_KEY: key })).toMatchObject({ code: 0 });
    expect(await label([file, '--url', closed.url, '--force', '--key', key])).toMatchObject({ code: 0 });
  }, 60_000);

  it('leaves a list running when it is interrupted, and goes on with it', async () => {
    await using away = await startTestService({
      environment: {
        MODEL_SERVER_URL: `http://127.0.0.1:${await freePort()}`,
        MODEL_SERVER_ALLOW_HTTP: 'true',
        MODEL_CONTRACT: 'config/rfc_tune/contract.json',
      },
    });
    const file = list('waits.csv', 25);
    const { child, ran } = start([file, '--url', away.url]);
    let seen = '';
    child.stderr?.on('data', (bytes: Buffer) => (seen += bytes.toString()));
    await until(() => seen.includes('the model server does not answer'));
    child.kill('SIGINT');
    const { code, err } = await ran;
    expect(code).toBe(1);
    const [, id] = /curl -X DELETE \S+\/v1\/batches\/(\S+)/.exec(err) as unknown as [string, string];
    const { body } = await away.http.get(`/v1/batches/${id}`).expect(200);
    expect(body.state).toBe('waiting');
    const patient = await label([file, '--url', away.url, '--wait', '1'], { DEFAULT_LOCALE: 'es' });
    expect(patient).toMatchObject({
      code: 4,
      err: expect.stringMatching(/ya se envió[^]*esperando: el servidor del modelo no responde[^]*tras 1 s/),
    });
    await away.http.delete(`/v1/batches/${id}`).expect(200);
    await label([file, '--url', away.url, '--wait', '0']);
    const { body: all } = await away.http.get('/v1/batches').expect(200);
    expect(all.batches.map(({ state }: { state: string }) => state)).toEqual(['waiting', 'cancelled']);
  }, 60_000);

  it('labels stored customers again with --stale', async () => {
    expect(await label(['--stale', '--url', service.url])).toMatchObject({
      code: 0,
      err: expect.stringContaining('0 rows'),
    });
  });

  it('ends with 4 when no service answers', async () => {
    const { code, err } = await label([list('x.csv', 1), '--url', `http://127.0.0.1:${await freePort()}`]);
    expect(code).toBe(4);
    expect(err).toMatch(/No service answers at .*ECONNREFUSED/);
  });
});

describe('used wrongly', () => {
  it.each<[string, (file: string) => string[], RegExp]>([
    ['nothing to label', () => [], /one of FILE, --stale and --from-sql/],
    ['two things to label', (file) => [file, '--stale'], /one of FILE/],
    ['a file that is not there', (file) => [`${file}.csv`], /There is no file/],
    ['a file of an unknown kind', () => ['package.json'], /say with --format/],
    ['a folder', () => ['src'], /is a folder/],
    ['an unknown encoding', (file) => [file, '--encoding', 'ebcdic'], /Allowed choices/],
    ['a folder for results that is not there', (file) => [file, '--out', '/nowhere/x.csv'], /no folder \/nowhere/],
    ['itself as its results', (file) => [file, '--out', file, '--force'], /read and written at once/],
    ['a query without a database', () => ['--from-sql', 'select 1'], /--source-url/],
    ['an address that is none', (file) => [file, '--url', 'localhost'], /--url is not an address/],
    ['a time that is none', (file) => [file, '--wait', 'long'], /--wait takes seconds/],
  ])('%s ends with 2 and a sentence', async (_what, words, sentence) => {
    const { code, err } = await label(words(example()));
    expect(code).toBe(2);
    expect(err).toMatch(sentence);
    expect(err).not.toMatch(/\n +at /);
  });

  it('never writes over a file', async () => {
    const file = example();
    writeFileSync(place('clientes.rejected.csv'), 'mended by hand');
    const { code, err } = await label([file, '--url', service.url]);
    expect(code).toBe(2);
    expect(err).toMatch(/clientes\.rejected\.csv is there already\. --force replaces it/);
    expect(read('clientes.rejected.csv')).toBe('mended by hand');
  });
});

describe('with the service inside', () => {
  it('labels, and says nothing of the service itself', async () => {
    const { code, err } = await label([example(), '--out', place('out.csv')], { LOG_LEVEL: 'debug' });
    expect(code).toBe(3);
    expect(err).not.toContain('{"level"');
    expect(readdirSync(command.folder).sort()).toEqual(['clientes.csv', 'data', 'out.csv', 'out.rejected.csv']);
  }, 60_000);

  it('goes on where it was interrupted', async () => {
    const rows = 150_000;
    const file = list('big.csv', rows);
    const { child, ran } = start([file]);
    let seen = '';
    child.stderr?.on('data', (bytes: Buffer) => (seen += bytes.toString()));
    await until(() => seen.includes('% labelling'));
    child.kill('SIGINT');
    expect(await ran).toMatchObject({ code: 1, err: expect.stringContaining('goes on where this one ended') });
    expect(existsSync(place('big.labelled.csv'))).toBe(false);
    expect(await label([file])).toMatchObject({
      code: 0,
      err: expect.stringMatching(/was sent before[^]*150,000 labelled/),
    });
    expect(read('big.labelled.csv').trim().split(/\r?\n/).length).toBe(rows + 1);
  }, 180_000);

  it('says who has the folder', async () => {
    const { child, ran } = start([list('first.csv', 100_000)]);
    await until(() => existsSync(place('data/customer-labels.lock')));
    const second = await label([list('second.csv', 5)]);
    child.kill('SIGTERM');
    await ran;
    expect(second.code).toBe(1);
    expect(second.err).toMatch(/folder \S+ is in use by process \d+[^]*--url http:\/\/127\.0\.0\.1:3000/);
  }, 60_000);

  it('ends with 4 when its database is away, and with 1 on settings that cannot be', async () => {
    const DATABASE_URL = `postgres://nobody@127.0.0.1:${await freePort()}/none`;
    const file = list('y.csv', 1);
    expect(await label([file], { DATABASE_URL })).toMatchObject({
      code: 4,
      err: expect.stringMatching(/ECONNREFUSED/),
    });
    expect(await label([file], { PORT: 'x' })).toMatchObject({ code: 1, err: expect.stringContaining('PORT') });
  });

  it('shows a bar on a terminal', async () => {
    const words = `${process.execPath} src/cli/main.ts label ${list('bar.csv', 30)}`;
    const shown = execFileSync('script', ['-qec', words, '/dev/null'], {
      encoding: 'utf8',
      env: { ...process.env, DATA_DIR: place('data') },
    });
    expect(shown).toMatch(/█+ 100 % done, 30 of 30 rows/);
    expect(shown).toMatch(/30 rows: 30 labelled/);
  }, 60_000);
});

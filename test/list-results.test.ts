import { describe, expect, it } from '@jest/globals';
import { encode } from 'iconv-lite';
import fc from 'fast-check';
import { createJsonPieceParser } from '../src/list-files/parse-json-piece.ts';
import { readRecords } from '../src/list-files/read-records.ts';
import { createCsvRejectedWriter, createCsvResultWriter, type ResultRow } from '../src/list-files/write-csv-results.ts';
import { namedCells, writeJsonRejected, writeJsonResults } from '../src/list-files/write-json-results.ts';
import { contract, cutBytes, features, isAccepted, isRefused, readList } from './support/read-list.ts';

const names = features.map(({ names }) => names.es);
const cells = ['100', '12', '1.234,5', '200,25', '180', '9,75', '2', 'Sí', '101', '99', '98', '4'];
const label = { label: 1, text: 'Se va', probability: 0.912_345_678, version: '3' };

function listOf(...rows: string[][]): Buffer {
  return Buffer.from([['Código', ...names, 'Saldo', 'Notas'], ...rows].map((row) => `${row.join(';')}\r\n`).join(''));
}

describe('the results of a list', () => {
  const list = readList(
    listOf(['0001', ...cells, '-3,5', 'a'], ['0002', ...cells, '7', '"b;c\n""d"""'], ['=1+1', '', '-', '@x']),
  );
  const writer = createCsvResultWriter({ format: list.decision.format, mapping: list.mapping });
  const [one, two, three] = list.rows.map(({ input }) => input);
  const results: ResultRow[] = [
    { input: one as string[], ...label },
    { input: two as string[], label: 0, text: 'Se queda', probability: null, version: null },
    { input: three as string[], error: 'Falta esta variable.' },
  ];

  it('are the file with five columns more, written as the file is', () => {
    expect(Buffer.concat([writer.begin(), writer.rows(results)]).toString()).toBe(
      [
        `Código;${names.join(';')};Saldo;Notas;label;text;probability;version;error`,
        `0001;${cells.join(';')};-3,5;a;1;Se va;0,912346;3;`,
        `0002;${cells.join(';')};7;"b;c\n""d""";0;Se queda;;;`,
        `'=1+1;;'-;'@x${';'.repeat(11)};;;;;Falta esta variable.`,
        '',
      ].join('\r\n'),
    );
  });

  it.each(['utf-8', 'utf-16le', 'windows-1252'] as const)('keep %s, byte order mark and sep= line', (encoding) => {
    const text = `sep=;\r\n${listOf(['C1', ...cells, '-1,5', 'Cádiz']).toString()}`;
    const withMark = Buffer.from(`\uFEFF${text}`, encoding === 'utf-16le' ? 'utf16le' : 'utf8');
    const file = encoding === 'windows-1252' ? encode(text, encoding) : withMark;
    const { decision, mapping, rows } = readList(file);
    const writer = createCsvResultWriter({ format: decision.format, mapping });
    const written = Buffer.concat([writer.begin(), writer.rows(rows.map(({ input }) => ({ input, ...label })))]);
    const again = readList(written);
    expect(written.subarray(0, 8)).toEqual(file.subarray(0, 8));
    expect(again.decision.format).toEqual(decision.format);
    expect(again.rows[0]?.input).toEqual([...(rows[0]?.input ?? []), '1', 'Se va', '0,912346', '3', '']);
    expect(again.rows[0]?.customerId).toBe('C1');
  });

  it('name their columns apart from the file’s own', () => {
    const mapping = { header: ['id', 'Label', 'label_2', 'error'], ignoredColumns: [] };
    const header = createCsvResultWriter({ format: list.decision.format, mapping }).begin().toString();
    expect(header).toBe('id;Label;label_2;error;label_3;text;probability;version;error_2\r\n');
  });

  it.each([
    [0, '0'],
    [1, '1'],
    [0.5, '0,5'],
    [1e-9, '0'],
    [0.000_001, '0,000001'],
    [0.999_999_9, '1'],
  ])('have the probability %d as %s', (probability, shown) => {
    const written = writer.rows([{ input: [], ...label, probability }]).toString();
    expect(written.split(';').at(-3)).toBe(shown);
  });

  it('have no cell that a spreadsheet runs, wherever it comes from, and every number as it was', () => {
    const start = fc.constantFrom('=', '+', '-', '@', '\t', '\r', '＝');
    const cell = fc.tuple(start, fc.string({ maxLength: 5 })).map(([sign, text]) => sign + text);
    fc.assert(
      fc.property(cell, fc.integer(), (cell, number) => {
        const input = [cell, String(number), ...names.map(() => cell)];
        const bytes = writer.rows([
          { input, label: cell, text: cell, probability: null, version: cell },
          { input, error: cell },
        ]);
        const written = readRecords(bytes, list.decision.format).flat();
        const dangerous = written.filter(
          (one) => /^[=+\-@\t\r＝]/.test(one) && !/^[-+]?[\d.,\s'’€$£¥EURUSDMXNGBPeurusdmxngbp+-]*$/.test(one),
        );
        expect(dangerous).toEqual([]);
        expect(written[1]).toBe(String(number));
      }),
    );
  });
});

describe('rejected rows', () => {
  const rows = [
    ['0001', ...cells, '1', 'good'],
    ['=0002', ...cells.with(2, 'n/d').with(3, ''), '1', 'two faults'],
    ['0003', ...cells, '1'],
    ['0004', ...cells, '1', 'x', '=y', 'z'],
  ];
  const list = readList(listOf(...rows));
  const reject = ({ decision, mapping, rows }: typeof list, locale: 'en' | 'es') => {
    const writer = createCsvRejectedWriter({ format: decision.format, mapping, locale });
    return Buffer.concat([writer.begin(), writer.rows(rows.filter(isRefused))]);
  };

  it('stand with line, column, code and reason behind them', () => {
    const header = `Código;${names.join(';')};Saldo;Notas;rejected_line;rejected_field;rejected_code;rejected_reason`;
    const minutes = cells.with(2, 'n/d').with(3, '').join(';');
    expect(reject(list, 'es').toString().split('\r\n')).toEqual([
      header,
      `'=0002;${minutes};1;two faults;3;Minutos de día | Minutos de tarde;not_a_number | feature_missing;Debe ser un número. | Falta esta variable.`,
      `0003;${cells.join(';')};1;;4;row;column_count;La cabecera tiene 15 columnas y esta fila no.`,
      `0004;${cells.join(';')};1;x;5;row;column_count;La cabecera tiene 15 columnas y esta fila no.;'=y;z`,
      '',
    ]);
    expect(reject(list, 'en').toString()).toContain('This must be a number. | This feature is missing.');
  });

  it('can be mended and sent again as they are: what was added is left out', () => {
    const mended = reject(list, 'es').toString().replace('n/d;;', '1,5;2,5;').replace(";'=y;z", '');
    const again = readList(Buffer.from(mended));
    expect(again.rows.map((row) => [row.customerId, isAccepted(row)])).toEqual([
      ['=0002', true],
      ['0003', true],
      ['0004', true],
    ]);
    const writer = createCsvResultWriter({ format: again.decision.format, mapping: again.mapping });
    const [header = ''] = writer.begin().toString().split('\r\n');
    expect(header).toBe(`Código;${names.join(';')};Saldo;Notas;label;text;probability;version;error`);
    const [first] = again.rows;
    expect(writer.rows([{ input: first?.input ?? [], ...label }]).toString()).toContain('two faults;1;Se va');
  });

  it('are the same when they are rejected again', () => {
    const once = reject(list, 'en');
    const twice = reject(readList(once), 'en').toString();
    expect(twice.split('\r\n')[0]).toBe(once.toString().split('\r\n')[0]);
    expect(twice).toContain(`'=0002;${cells.with(2, 'n/d').with(3, '').join(';')};1;two faults;2;`);
  });
});

describe('NDJSON', () => {
  const byName = Object.fromEntries(features.map(({ name }) => [name, 1]));
  const read = (...lines: string[]) => {
    const file = Buffer.from(lines.map((line) => `${line}\n`).join(''));
    const parse = createJsonPieceParser({ contract });
    return cutBytes(file, { kind: 'ndjson', chunks: [5], maxRows: 3 }).pieces.flatMap((piece) => [...parse(piece)]);
  };
  const good = { id: 'C1', features: byName, branch: 'Cádiz' };
  const array = { id: 'C2', features: features.map(() => 0.5), scale: 'standardized' };
  const lines = [
    JSON.stringify(good),
    '',
    JSON.stringify(array),
    '{"id":"C3","id":"C3","features":{}}',
    'not JSON',
    '[1]',
    JSON.stringify({ ...good, id: 7, features: { ...byName, total_day_minutes: '1', other: 1, 'a/b': 2 } }),
    JSON.stringify({ id: 'C4' }),
    JSON.stringify({ ...array, features: features.map((_, i) => (i === 2 ? null : 0)) }),
    JSON.stringify({ ...good, scale: 'other' }),
    `{"id":"C5","features":${'['.repeat(100_000)}`,
  ];
  const rows = read(...lines);

  it('has a customer in each line, by name or in order, and says what is wrong with any', () => {
    expect(
      rows.map((row) => [
        row.lineNumber,
        isRefused(row) ? row.faults.map(({ field, code }) => `${field} ${code}`) : row.customerId,
      ]),
    ).toEqual([
      [1, 'C1'],
      [3, 'C2'],
      [4, ['row duplicate_key']],
      [5, ['row malformed_json']],
      [6, ['row malformed_json']],
      [7, ['id invalid_customer_id', 'total_day_minutes not_a_number', 'other feature_unknown', 'a/b feature_unknown']],
      [8, ['features feature_missing']],
      [9, ['total_day_minutes not_a_number']],
      [10, ['scale unknown_scale']],
      [11, ['row malformed_json']],
    ]);
    expect(rows.map(({ row }) => row)).toEqual([...rows.keys()]);
  });

  it('comes back with its members beside the label', () => {
    const [first] = rows;
    const written = writeJsonResults([{ ...(first as NonNullable<typeof first>), ...label }]).toString();
    expect(JSON.parse(written)).toMatchObject({ line: 1, customerId: 'C1', input: good, ...label });
  });

  it('can be mended and sent again: `rejected` is left out', () => {
    const written = writeJsonRejected(rows.filter(isRefused), 'es').toString().trimEnd().split('\n');
    expect(JSON.parse(written[5] ?? '')).toEqual({
      ...array,
      features: features.map((_, i) => (i === 2 ? null : 0)),
      rejected: {
        line: 9,
        errors: [{ field: 'total_day_minutes', column: null, code: 'not_a_number', detail: 'Debe ser un número.' }],
      },
    });
    expect(JSON.parse(written[1] ?? '')).toMatchObject({ rejected: { line: 5, text: 'not JSON' } });
    const [again] = read((written[5] ?? '').replace('null', '0'));
    expect(isAccepted(again) && again.input).toEqual({ ...array, features: features.map(() => 0) });
  });

  it('names the cells of a CSV row', () => {
    expect(namedCells(['id', 'x', 'y'], ['C1', '2'])).toEqual({ id: 'C1', x: '2', y: '' });
  });
});

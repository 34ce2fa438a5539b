import { parse } from 'csv-parse/sync';
import type { CsvFormat, Piece } from './list-format.ts';

/** Bytes of a piece as text: UTF-16 was made UTF-8 when the file was cut. */
export function decodeBytes(bytes: Uint8Array, encoding: CsvFormat['encoding']): string {
  return new TextDecoder(encoding === 'windows-1252' ? encoding : 'utf-8', { ignoreBOM: true }).decode(bytes);
}

/**
 * The cells of every record, the same records that `createRecordCutter` cuts; a blank line is `['']`. Never fails on
 * whole records: a quote that stands within a cell is text.
 */
export function readRecords(
  bytes: Buffer,
  { encoding, delimiter }: Pick<CsvFormat, 'encoding' | 'delimiter'>,
): string[][] {
  return parse(encoding === 'windows-1252' ? decodeBytes(bytes, encoding) : bytes, {
    delimiter,
    record_delimiter: ['\r\n', '\n', '\r'],
    relax_quotes: true,
    relax_column_count: true,
  });
}

/** The cells of a header record, which may have blank lines before it. */
export function readHeader(bytes: Buffer, format: Pick<CsvFormat, 'encoding' | 'delimiter'>): string[] {
  return readRecords(bytes, format).find((record) => !isBlank(record)) ?? [];
}

export function isBlank(record: readonly string[]): boolean {
  return record.length === 1 && record[0] === '';
}

/** The line of each record in the file: a record has a line more for each line break in its cells. */
export function linesOf(
  records: readonly (readonly string[])[],
  { firstLine, lines }: { firstLine: number; lines: number },
) {
  if (lines === records.length) return (index: number) => firstLine + index;
  let line = firstLine;
  const starts = records.map((record) => {
    const start = line;
    line += 1;
    for (const cell of record) line += cell.match(/\r\n|\r|\n/g)?.length ?? 0;
    return start;
  });
  return (index: number) => starts[index] as number;
}

const quote = 0x22;

/**
 * Each record of a piece with its line in the file. Where nothing is quoted every line break ends a record and every
 * delimiter a cell: that takes half of csv-parse's time, and one record at a time is held.
 */
export function* eachRecord(piece: Piece, format: Pick<CsvFormat, 'encoding' | 'delimiter'>) {
  if (piece.bytes.includes(quote)) {
    const records = readRecords(piece.bytes, format);
    const lineOf = linesOf(records, piece);
    for (const [i, cells] of records.entries()) yield { cells, lineNumber: lineOf(i) };
    return;
  }
  const text = decodeBytes(piece.bytes, format.encoding);
  const lines = text.split(text.includes('\r') ? /\r\n|\n|\r/ : '\n');
  if (lines.at(-1) === '') lines.pop();
  for (let i = 0; i < lines.length; i += 1)
    yield { cells: (lines[i] as string).split(format.delimiter), lineNumber: piece.firstLine + i };
}

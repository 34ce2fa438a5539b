export const delimiters = [';', '\t', '|', ','] as const;
export type Delimiter = (typeof delimiters)[number];
export const encodings = ['utf-8', 'utf-16le', 'utf-16be', 'windows-1252'] as const;
export type Encoding = (typeof encodings)[number];
export type DecimalSign = ',' | '.';
export type LineEnding = '\r\n' | '\n' | '\r';

/** How a CSV file is written, all of it one decision a file. */
export interface CsvFormat {
  encoding: Encoding;
  byteOrderMark: boolean;
  delimiter: Delimiter;
  /** Begins with Excel's `sep=;`. */
  sepLine: boolean;
  lineEnding: LineEnding;
  decimal: DecimalSign;
  /** Its cells contradict each other about the decimal sign, so `1.234`, which either would read, is refused. */
  refuseAmbiguous: boolean;
}

/** What the caller says of the file; the rest is found out. */
export type GivenFormat = Partial<Pick<CsvFormat, 'encoding' | 'delimiter' | 'decimal'>>;

/** Whole records of a file, as UTF-8 or in its single-byte encoding, without header. */
export interface Piece {
  bytes: Buffer;
  /** Of the file, from 1. */
  firstLine: number;
  lines: number;
  /** Of the file's rows, from 0: a row is a record that is neither the header nor a blank line. */
  firstRow: number;
  rows: number;
}

import type { Feature } from '../contract/contract.ts';
import { type DelimiterDecision, detectDelimiter } from './detect-delimiter.ts';
import { decideByteEncoding, findEncodingEvidence } from './encoding-evidence.ts';
import type { Delimiter, GivenFormat } from './list-format.ts';

/** What has to be known of a CSV file before its records can be cut. */
export interface CsvLayout {
  delimiter: DelimiterDecision;
  sepLine: boolean;
  sepLineBytes: number;
  /** There are quotes in the file's beginning. */
  quoted: boolean;
}

interface LayoutOptions {
  given: GivenFormat;
  features: readonly Pick<Feature, 'name' | 'names'>[];
  /** The beginning is the whole file: its last record is no fragment. */
  isWhole: boolean;
}

/** @param beginning of the file, decoded from UTF-16 if need be, without its byte order mark. */
export function readCsvLayout(beginning: Buffer, { given, features, isWhole }: LayoutOptions): CsvLayout {
  const text = new TextDecoder(decideByteEncoding(findEncodingEvidence(beginning))).decode(beginning);
  const [sepLine = '', sep] = /^"?sep=([;,|\t])"?(?:\r\n|\n|\r|$)/i.exec(text) ?? [];
  const end = isWhole ? text.length : Math.max(text.lastIndexOf('\n'), text.lastIndexOf('\r')) + 1;
  const bySepLine = sep === undefined ? undefined : ({ delimiter: sep as Delimiter, from: 'sep_line' } as const);
  const known = given.delimiter ? ({ delimiter: given.delimiter, from: 'given' } as const) : bySepLine;
  return {
    delimiter: detectDelimiter(text.slice(sepLine.length, end), features, known),
    sepLine: sepLine !== '',
    sepLineBytes: sepLine.length,
    quoted: text.includes('"'),
  };
}

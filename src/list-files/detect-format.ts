import type { Feature } from '../contract/contract.ts';
import { createRecordCutter } from './cut-records.ts';
import type { CsvHead, EncodingDecision } from './cut-list.ts';
import {
  type DecimalDecision,
  type DecimalEvidence,
  decideDecimal,
  findDecimalEvidence,
  mayShowDecimals,
  mergeDecimalEvidence,
  noDecimalEvidence,
} from './decimal-evidence.ts';
import type { DelimiterDecision } from './detect-delimiter.ts';
import { decideByteEncoding, findEncodingEvidence } from './encoding-evidence.ts';
import type { CsvFormat, GivenFormat, LineEnding, Piece } from './list-format.ts';
import { type GivenColumns, mapHeader } from './map-header.ts';
import { eachRecord, readHeader } from './read-records.ts';

/** A format, and why it is that one. */
export interface FormatDecision {
  format: CsvFormat;
  header: string[];
  encoding: EncodingDecision;
  delimiter: DelimiterDecision;
  decimal: DecimalDecision;
  quoted: boolean;
}

/** What cells say of the decimal sign: those of the features, and all of them. Surveys of several pieces are merged. */
export interface DecimalSurvey {
  ofFeatures: DecimalEvidence;
  ofAll: DecimalEvidence;
}

interface SurveyOptions {
  /** Of the file's cutter. */
  head: CsvHead;
  features: readonly Pick<Feature, 'name' | 'names'>[];
  columns?: GivenColumns;
  /** So many rows, in blocks spread over the piece, are looked at together, until they have said enough; undefined: all. */
  rowsAtOnce?: number;
}

/** Features' cells that can be read one way only, in one piece: with fewer of them all of its rows are looked at. */
const enoughCells = 100;
const rowsOfBlock = 250;

/** Looks at a piece's cells; any pieces may be looked at, while the file still streams in or later. */
export function surveyDecimals(piece: Buffer, { head, features, columns, rowsAtOnce }: SurveyOptions): DecimalSurvey {
  const { delimiter } = head.delimiter;
  const readAs = (bytes: Buffer) => ({ encoding: decideByteEncoding(findEncodingEvidence(bytes)), delimiter });
  const header = readHeader(head.header.bytes, readAs(head.header.bytes));
  const mapped = mapHeader(header, { features, ...(columns && { given: columns }) });
  const featureColumns = 'mapping' in mapped ? mapped.mapping.featureColumns : [...header.keys()];
  const otherColumns = [...header.keys()].filter((column) => !featureColumns.includes(column));
  const format = readAs(piece);
  const blocks = cutBlocks(piece, delimiter);
  const step = rowsAtOnce === undefined ? 1 : Math.max(1, Math.floor((blocks.length * rowsOfBlock) / rowsAtOnce));
  let survey = emptySurvey();
  for (let first = 0; first < step && saysTooLittle(survey.ofFeatures); first += 1)
    for (let at = first; at < blocks.length; at += step) {
      const block = blocks[at] as Piece;
      if (!mayShowDecimals(block.bytes.toString('latin1'))) continue;
      const rows = Array.from(eachRecord(block, format), ({ cells }) => cells);
      const ofFeatures = findDecimalEvidence(rows, featureColumns);
      const ofAll = mergeDecimalEvidence(ofFeatures, findDecimalEvidence(rows, otherColumns));
      survey = mergeSurveys(survey, { ofFeatures, ofAll });
    }
  return survey;
}

function cutBlocks(piece: Buffer, delimiter: string): Piece[] {
  const one = { delimiter, hasHeader: false, maxRows: rowsOfBlock, maxBytes: Infinity, firstLine: 1 };
  const cutter = createRecordCutter(one);
  return [...cutter.push(piece), ...cutter.end()];
}

function saysTooLittle({ comma, point }: DecimalEvidence): boolean {
  return comma.cells + point.cells < enoughCells;
}

export function mergeSurveys(one: DecimalSurvey, other: DecimalSurvey): DecimalSurvey {
  return {
    ofFeatures: mergeDecimalEvidence(one.ofFeatures, other.ofFeatures),
    ofAll: mergeDecimalEvidence(one.ofAll, other.ofAll),
  };
}

export function emptySurvey(): DecimalSurvey {
  return { ofFeatures: noDecimalEvidence(), ofAll: noDecimalEvidence() };
}

interface DetectFormatOptions {
  /** Of the file's cutter, as is the encoding: at its end, the final one. */
  head: CsvHead;
  encoding: EncodingDecision;
  survey: DecimalSurvey;
  given?: GivenFormat;
}

/**
 * Decides how the file is written. What its features' cells say of the decimal sign counts; where they say nothing,
 * the other columns' do, and where these are silent too, the delimiter.
 */
export function detectFormat({ head, encoding, survey, given }: DetectFormatOptions): FormatDecision {
  const written = { encoding: encoding.encoding, delimiter: head.delimiter.delimiter };
  const header = readHeader(head.header.bytes, written);
  const decimal = decideDecimal(isSilent(survey.ofFeatures) ? survey.ofAll : survey.ofFeatures, {
    given: given?.decimal,
    delimiter: written.delimiter,
  });
  return {
    format: {
      ...written,
      byteOrderMark: encoding.byteOrderMark,
      sepLine: head.sepLine,
      lineEnding: lineEndingOf(head.header.bytes),
      decimal: decimal.decimal,
      refuseAmbiguous: decimal.refuseAmbiguous,
    },
    header,
    encoding,
    delimiter: head.delimiter,
    decimal,
    quoted: head.quoted,
  };
}

function isSilent({ comma, point }: DecimalEvidence): boolean {
  return comma.cells === 0 && point.cells === 0;
}

function lineEndingOf(record: Buffer): LineEnding {
  const [ending] = /\r\n$|\n$|\r$/.exec(record.subarray(-2).toString('latin1')) ?? [];
  return (ending as LineEnding | undefined) ?? '\n';
}

import { parse } from 'csv-parse/sync';
import type { Feature } from '../contract/contract.ts';
import { comparable, idPreference, namesOf } from './column-names.ts';
import { type Delimiter, delimiters } from './list-format.ts';

export interface DelimiterDecision {
  delimiter: Delimiter;
  from: 'given' | 'sep_line' | 'header_names' | 'consistent_columns' | 'default';
  columns: number;
  /** Of the sample's rows, those that have as many columns as the header, 0–1. */
  consistentShare: number;
}

const sampleRecords = 200;

/**
 * By the known names that the header has, then by how many rows have as many columns as the header, then by the number
 * of columns; commas within numbers lose on all three.
 * @param sample whole records as text, the header first.
 */
export function detectDelimiter(
  sample: string,
  features: readonly Pick<Feature, 'name' | 'names'>[],
  known: { delimiter: Delimiter; from: 'given' | 'sep_line' } | undefined,
): DelimiterDecision {
  const names = new Set(features.flatMap(namesOf));
  const isKnown = (cell: string) => names.has(comparable(cell)) || idPreference(cell) !== undefined;
  const candidates = (known ? [known.delimiter] : delimiters).map((delimiter) => {
    const [header = [], ...rows] = readSample(sample, delimiter);
    const consistent = rows.filter((row) => row.length === header.length).length;
    return {
      delimiter,
      columns: header.length,
      knownNames: header.filter(isKnown).length,
      consistentShare: rows.length === 0 ? 1 : consistent / rows.length,
    };
  });
  const [best, next] = candidates.sort(
    (a, b) =>
      Number(b.columns > 1) - Number(a.columns > 1) ||
      b.knownNames - a.knownNames ||
      b.consistentShare - a.consistentShare ||
      b.columns - a.columns,
  );
  const { delimiter, columns, consistentShare, knownNames } = best as (typeof candidates)[number];
  if (known) return { ...known, columns, consistentShare };
  if (columns === 1) return { delimiter: ',', from: 'default', columns, consistentShare };
  const byNames = knownNames > (next?.columns === 1 ? 0 : (next?.knownNames ?? 0));
  return { delimiter, from: byNames ? 'header_names' : 'consistent_columns', columns, consistentShare };
}

/** The first records of a sample; one that ends within quotes gives those before. */
export function readSample(sample: string, delimiter: Delimiter): string[][] {
  const rows: string[][] = [];
  try {
    parse(sample, {
      delimiter,
      record_delimiter: ['\r\n', '\n', '\r'],
      relax_quotes: true,
      relax_column_count: true,
      skip_empty_lines: true,
      to: sampleRecords,
      on_record: (record: string[]) => void rows.push(record),
    });
  } catch {
    return rows;
  }
  return rows;
}

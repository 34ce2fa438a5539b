import type { Locale } from '../locale.ts';
import { type JsonInput, rejectedMember } from './parse-json-piece.ts';
import { describeRowFault, type ParsedRow, type RefusedRow } from './parsed-row.ts';
import type { ResultRow } from './write-csv-results.ts';

/** The cells of a CSV row by the names of their columns. */
export function namedCells(header: readonly string[], cells: readonly string[]): Record<string, string> {
  return Object.fromEntries(header.map((name, i) => [name, cells[i] ?? '']));
}

/** One line a row: where it stood, what it was (`input`), and its label or error beside it. */
export function writeJsonResults(
  rows: readonly (ResultRow<JsonInput> & Pick<ParsedRow, 'lineNumber' | 'customerId'>)[],
): Buffer {
  return writeLines(
    rows.map(({ lineNumber, customerId, input, ...result }) => ({ line: lineNumber, customerId, input, ...result })),
  );
}

/**
 * One line a refused row: its own members, and `rejected` with line and errors, so that it can be mended and sent again
 * as it is. A line that was no object stands in `rejected.text`.
 */
export function writeJsonRejected(rows: readonly RefusedRow<JsonInput>[], locale: Locale): Buffer {
  return writeLines(
    rows.map(({ lineNumber, input, faults }) => {
      const rejected = { line: lineNumber, errors: faults.map((fault) => describeRowFault(fault, locale)) };
      if (typeof input === 'string') return { [rejectedMember]: { ...rejected, text: input } };
      return { ...input, [rejectedMember]: rejected };
    }),
  );
}

function writeLines(objects: readonly object[]): Buffer {
  return Buffer.from(objects.map((object) => `${JSON.stringify(object)}\n`).join(''));
}

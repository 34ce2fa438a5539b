import type { LabelCode } from '../contract/contract.ts';
import { describeRowFault, type ParsedRow, type RefusedRow, type RowFault } from '../list-files/parsed-row.ts';
import { createCsvRejectedWriter, createCsvResultWriter, type ResultRow } from '../list-files/write-csv-results.ts';
import { namedCells, writeJsonRejected, writeJsonResults } from '../list-files/write-json-results.ts';
import type { ChunkResult } from './chunk-rows.ts';
import { unpackResult } from './pack-result.ts';
import type { WriteChunk } from './list-thread.ts';

/** The chunk's rows as they came, each with its label or with why it has none. */
export function writeResults(parsed: readonly ParsedRow<never>[], given: WriteChunk): Uint8Array {
  const { plan, as, locale } = given;
  const result = unpackResult(given.result);
  const { labelled } = result;
  const places = new Map(Array.from(labelled.rows, (row, i) => [row, i]));
  const refused = new Map(result.refused.map((one) => [one.row, one]));
  const rows = parsed.map((one, row): ResultRow<never> & Pick<ParsedRow, 'lineNumber' | 'customerId'> => {
    const { lineNumber, customerId } = one;
    const input = inputOf(one, given);
    const place = places.get(row);
    if (place !== undefined) {
      const label = result.codes[labelled.labels[place] as number] as LabelCode;
      const { version, texts } = result.versions[labelled.by[place] as number] as ChunkResult['versions'][number];
      const text = texts[String(label)]?.[locale] ?? String(label);
      const probability = labelled.probabilities[place] as number;
      return {
        lineNumber,
        customerId,
        input,
        label,
        text,
        probability: Number.isNaN(probability) ? null : probability,
        version,
      };
    }
    const faults = refused.get(row)?.faults ?? [notLabelled];
    const error = faults
      .map((fault) => describeRowFault(fault, locale))
      .map(({ column, field, detail }) => `${column ?? field}: ${detail}`)
      .join(' | ');
    return { lineNumber, customerId, input, error };
  });
  if (as === 'csv' && plan.kind === 'csv') return createCsvResultWriter(plan).rows(rows);
  return writeJsonResults(rows);
}

/** Of a list that was cancelled, or a chunk that was given up. */
const notLabelled: RowFault = { field: 'row', column: null, code: 'not_labelled' };

/** The refused rows of the chunk as they came, with what is wrong with them. */
export function writeRejected(parsed: readonly ParsedRow<never>[], given: WriteChunk): Uint8Array {
  const { plan, as, locale } = given;
  const { refused } = given.isGivenUp ? giveUp(parsed) : unpackResult(given.result);
  const rows = refused.flatMap(({ row, ...refused }): RefusedRow<never>[] => {
    const one = parsed[row];
    return one ? [{ ...refused, row: one.row, input: inputOf(one, given) }] : [];
  });
  if (as === 'csv' && plan.kind === 'csv') return createCsvRejectedWriter({ ...plan, locale }).rows(rows);
  return writeJsonRejected(rows, locale);
}

/** Cells have the names of their columns where they are written as JSON. */
function inputOf({ input }: ParsedRow<never>, { plan, as }: WriteChunk): never {
  if (plan.kind !== 'csv' || as === 'csv') return input;
  return namedCells(plan.mapping.header, input) as never;
}

/** A chunk that ended its worker again and again. */
function giveUp(parsed: readonly ParsedRow<never>[]): Pick<ChunkResult, 'refused'> {
  const refused = parsed.map(({ lineNumber, customerId }, row) => ({
    row,
    lineNumber,
    customerId,
    faults: [notLabelled],
  }));
  return { refused };
}

import type { FormatDecision } from '../list-files/detect-format.ts';
import { type ListTally, mergeTallies, tallyRows } from '../list-files/list-report.ts';
import type { HeaderMapping } from '../list-files/map-header.ts';
import type { RefusedInChunk } from './chunk-rows.ts';

/** What is known of a file once all of it was there. */
export interface BatchReport {
  decision: FormatDecision | null;
  mapping: HeaderMapping | null;
}

const nothing: Omit<ListTally, 'errors'> = { rows: 0, accepted: 0, firstRows: [], warnings: [] };

/** Errors of several chunks as those of one list. */
export function mergeErrors(errors: readonly ListTally['errors'][]): ListTally['errors'] {
  const merged = errors.reduce<ListTally>((one, other) => mergeTallies(one, { ...nothing, errors: other }), {
    ...nothing,
    errors: [],
  });
  return mostOf(merged.errors);
}

/** Errors of refused rows by code and field. */
export function countErrors(refused: readonly RefusedInChunk[]): ListTally['errors'] {
  return mostOf(tallyRows(refused.map((one) => ({ ...one, input: null }))).errors);
}

/** A caller may name as many unknown features as there are rows: the most frequent faults are told. */
const maxKinds = 100;

function mostOf(errors: ListTally['errors']): ListTally['errors'] {
  return errors.toSorted((a, b) => b.rows - a.rows).slice(0, maxKinds);
}

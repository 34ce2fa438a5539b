import type { FeatureVector } from '../contract/feature-vector.ts';
import { describeFault, type InputFault, type InputFaultCode } from '../errors.ts';
import type { Locale } from '../locale.ts';

/** One thing wrong with a row: of which feature, or `id`, or `row`; and the column's name in the file. */
export interface RowFault {
  field: string;
  column: string | null;
  code: InputFaultCode;
  expected?: string | number;
}

interface Row<Input> {
  /** Of the file, from 0. */
  row: number;
  /** Of the file, from 1, where the record begins. */
  lineNumber: number;
  /** As it stands in the file: cells, or a JSON object. */
  input: Input;
}

export interface AcceptedRow<Input = string[]> extends Row<Input> {
  customerId: string;
  vector: FeatureVector;
  /** Unusual values; they do not keep it from being labelled. */
  warnings: RowFault[];
}

export interface RefusedRow<Input = string[]> extends Row<Input> {
  /** Null when it has none that can be used. */
  customerId: string | null;
  faults: RowFault[];
}

export type ParsedRow<Input = string[]> = AcceptedRow<Input> | RefusedRow<Input>;

/** What is wrong, as a sentence. */
export function describeRowFault({ field, column, code, expected }: RowFault, locale: Locale) {
  const fault: InputFault = { pointer: `#/${field}`, code, ...(expected !== undefined && { expected }) };
  return { field, column, code, detail: describeFault(fault, locale).detail };
}

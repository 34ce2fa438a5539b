import type { LabelCode } from '../contract/contract.ts';
import type { Scale } from '../contract/feature-vector.ts';
import type { RowFault } from '../list-files/parsed-row.ts';
import type { Localized } from '../locale.ts';

/** A row that is not labelled, and all that is wrong with it. `row` counts the chunk's rows from 0. */
export interface RefusedInChunk {
  row: number;
  lineNumber: number;
  customerId: string | null;
  faults: RowFault[];
}

/** A chunk's rows, read by one contract. */
export interface ChunkRows {
  accepted: {
    count: number;
    rows: number[];
    lineNumbers: number[];
    customerIds: string[];
    scales: Scale[];
    /** Features as they were given, and standardised: one row after the other, in the contract's order. */
    given: Float64Array;
    standardized: Float64Array;
    /** Of each row's features, where they came at different times. */
    receivedAt?: Date[];
  };
  refused: RefusedInChunk[];
}

/** What a model server is told of a chunk's accepted rows. */
export interface ChunkFeatures {
  count: number;
  scales: Scale[];
  /** As they were given: another version may want them scaled otherwise. */
  given: Float64Array;
  /** The standardised rows as they stand in a request's body, with commas between them, and where each ends. */
  json: string;
  ends: Uint32Array;
}

/** What the model server said of a chunk's accepted rows, in order. */
export interface ChunkScores {
  /** null: the model server refuses this row. */
  labels: (LabelCode | null)[];
  /** Places of the refused rows that were not asked for alone, in order. */
  refusedWithOthers: number[];
  /** null where the model server gave none. */
  probabilities: (number | null)[];
  /** Which of the versions that answered made each. */
  by: number[];
}

/** What became of a chunk's rows: kept compressed with the chunk, and read when somebody fetches the results. */
export interface ChunkResult {
  /** The versions that labelled them, and what each of their labels says. */
  versions: { version: string | null; texts: Record<string, Localized> }[];
  /** Labels that were given. */
  codes: LabelCode[];
  /** By column, in the order of the rows. */
  labelled: {
    rows: Uint32Array;
    /** Places in `codes`. */
    labels: Uint16Array;
    /** NaN where none is known. */
    probabilities: Float64Array;
    /** Places in `versions`. */
    by: Uint16Array;
  };
  refused: RefusedInChunk[];
}

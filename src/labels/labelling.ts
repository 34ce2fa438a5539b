/** One labelling of one customer. `inputs` are in the contract's order and in the scale they were given in. */
export interface Labelling {
  customerId: string;
  inputs: readonly number[];
  scale: 'raw' | 'standardized';
  contractId: number;
  /** The label's code as text. */
  label: string;
  modelName: string;
  modelVersion: string | null;
  source: 'model-server' | 'embedded';
  /** Of the positive label, 0 to 1. */
  probability: number | null;
  /** When the features reached this service: the later one is the customer's current label. */
  receivedAt: Date;
  labelledAt: Date;
}

export interface StoredLabel extends Labelling {
  id: string;
  /** When the same inputs, version and label were last seen again. */
  confirmedAt: Date;
}

/** What is kept of a labelling after it was written: a repeat keeps its first time and a probability once known. */
export type KeptLabelling = Pick<StoredLabel, 'labelledAt' | 'confirmedAt' | 'probability'>;

/** A statement that decides whether others may store what they made; `sql` is told the number of its first parameter. */
export interface Claim {
  sql(firstParameter: number): string;
  parameters: unknown[];
}

/** `json`: an array of StoredInputs. */
export interface PackedInputs {
  json: string;
  contractIds: number[];
}

/** The last is when they were received, in milliseconds since 1970. */
export type StoredInputs = [
  customerId: string,
  inputs: number[],
  scale: StoredLabel['scale'],
  contractId: number,
  receivedAt: number,
];

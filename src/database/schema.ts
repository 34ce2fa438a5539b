import type { ColumnType, Generated, Selectable } from 'kysely';

/** A labelling as both label tables keep it. `inputs` is in the contract's order, in the scale it was given in. */
interface LabelColumns {
  /** PostgreSQL gives a bigint as text, PGlite as a number. */
  id: Generated<string | number>;
  customer_id: string;
  inputs: number[];
  scale: 'raw' | 'standardized';
  contract_id: number;
  label: string;
  model_name: string;
  model_version: string | null;
  source: 'model-server' | 'embedded';
  probability: number | null;
  received_at: Date;
  labelled_at: Date;
  confirmed_at: Date;
}

export type LabelRow = Selectable<LabelColumns>;

interface BatchColumns {
  id: string;
  state: string;
  reason: string | null;
  idempotency_key: string | null;
  content_hash: Uint8Array | null;
  plan: ColumnType<unknown, string | null, string | null>;
  report: ColumnType<unknown, string | null, string | null>;
  row_count: Generated<number>;
  /** Known at the end. */
  duplicate_count: number | null;
  /** Written after the end. */
  totals: ColumnType<unknown, string | null, string | null>;
  created_at: Date;
  touched_at: Date;
  started_at: Date | null;
  finished_at: Date | null;
}

interface ChunkColumns {
  batch_id: string;
  number: number;
  first_line: number;
  first_row: number;
  line_count: number;
  row_count: number;
  body: Uint8Array;
  attempt: string | null;
  done_at: Date | null;
  is_given_up: Generated<boolean>;
  labelled: Generated<number>;
  rejected: Generated<number>;
  versions: ColumnType<unknown, string | null, string | null>;
  errors: ColumnType<unknown, string | null, string | null>;
  result: Uint8Array | null;
  customer_hashes: Uint8Array | null;
}

export interface Schema {
  batches: BatchColumns;
  batch_chunks: ChunkColumns;
  contracts: { id: Generated<number>; fingerprint: string; body: ColumnType<unknown, string, never> };
  current_labels: LabelColumns;
  label_history: LabelColumns;
  api_keys: {
    id: string;
    name: string;
    role: string;
    digest: Buffer;
    created_at: Date;
    last_used_at: Date | null;
    revoked_at: Date | null;
  };
}

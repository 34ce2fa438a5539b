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

export interface Schema {
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

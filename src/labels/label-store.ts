import { CompiledQuery } from 'kysely';
import type { Queries } from '../database/database.ts';
import type { LabelRow } from '../database/schema.ts';
import type { Claim, KeptLabelling, Labelling, PackedInputs, StoredLabel } from './labelling.ts';
import { prepareRows, writeParameters, writeStatement, type WrittenRow } from './label-write.ts';
import { listParameterCount, listWriteStatement } from './list-write.ts';

export interface LabelStore {
  /**
   * Stores what one scored batch gave, in one statement: all or nothing.
   * A customer may occur more than once. A repeat of the current inputs, version and label only moves `confirmedAt`,
   * and adds the probability when that was not known; an older answer that arrives late goes to the history.
   * @returns for each labelling, in order, what is kept of it.
   */
  write(labellings: readonly Labelling[]): Promise<KeptLabelling[]>;
  /**
   * The same for a list's labellings, made into parameters elsewhere, only if `claim` gives a row: in one statement, so
   * that work which somebody else has taken over stores nothing.
   * @param parameters as listWriteParameters() makes them.
   * @param claim a statement with RETURNING; `sql` is told the number of its first parameter.
   * @returns whether it did.
   */
  writeIf(parameters: readonly unknown[], claim: Claim): Promise<boolean>;
  /** The version whose label the model server gave last; null when it never did, or the version has no name. */
  newestVersion(): Promise<string | null>;
  /** The current label of each of these customers that has one. */
  current(customerIds: readonly string[]): Promise<Map<string, StoredLabel>>;
  /** What the current labels of many customers were made from, as text that another thread reads. */
  currentInputs(customerIdsJson: string): Promise<PackedInputs>;
}

export function createLabelStore(queries: Queries): LabelStore {
  return {
    async write(labellings) {
      const rows = prepareRows(labellings);
      const { rows: stored } = await queries.executeQuery<WrittenRow>(
        CompiledQuery.raw(writeStatement, writeParameters(rows)),
      );
      const byCustomer = new Map(stored.map((row) => [row.customer_id, row]));
      const written: KeptLabelling[] = [];
      for (const { labelling, isLast, places } of rows) {
        const kept = isLast ? byCustomer.get(labelling.customerId) : undefined;
        for (const place of places)
          written[place] = {
            labelledAt: kept?.labelled_at ?? labelling.labelledAt,
            confirmedAt: kept?.confirmed_at ?? labelling.labelledAt,
            probability: kept?.probability ?? labelling.probability,
          };
      }
      return written;
    },

    async writeIf(parameters, claim) {
      const { rows } = await queries.executeQuery<{ held: number }>(
        CompiledQuery.raw(listWriteStatement(claim.sql(listParameterCount + 1)), [...parameters, ...claim.parameters]),
      );
      return rows[0]?.held === 1;
    },

    async newestVersion() {
      const { rows } = await queries.executeQuery<{ model_version: string | null }>(
        CompiledQuery.raw(newestVersionStatement),
      );
      return rows[0]?.model_version ?? null;
    },

    async current(customerIds) {
      const { rows } = await queries.executeQuery<LabelRow>(CompiledQuery.raw(currentStatement, [customerIds]));
      return new Map(rows.map((row) => [row.customer_id, toStoredLabel(row)]));
    },

    async currentInputs(customerIdsJson) {
      const statement = CompiledQuery.raw(currentInputsStatement, [customerIdsJson]);
      const { rows } = await queries.executeQuery<PackedInputs>(statement);
      return rows[0] as PackedInputs;
    },
  };
}

const currentStatement = 'SELECT * FROM current_labels WHERE customer_id = ANY($1::text[])';

/** One text instead of a row for each: taking 4,096 rows in would hold everybody up. */
const currentInputsStatement = `
    SELECT coalesce(json_agg(json_build_array(customer_id, inputs, scale, contract_id,
        (extract(epoch FROM received_at) * 1000)::float8)), '[]')::text AS json,
      coalesce(array_agg(DISTINCT contract_id), '{}') AS "contractIds"
    FROM current_labels WHERE customer_id = ANY(ARRAY(SELECT json_array_elements_text($1::json)))`;

const newestVersionStatement = `
    SELECT model_version FROM current_labels WHERE source = 'model-server'
    ORDER BY labelled_at DESC, customer_id DESC LIMIT 1`;

/** A row of either label table as the rest of the service knows it. */
export function toStoredLabel(row: LabelRow): StoredLabel {
  return {
    id: String(row.id),
    customerId: row.customer_id,
    inputs: row.inputs,
    scale: row.scale,
    contractId: row.contract_id,
    label: row.label,
    modelName: row.model_name,
    modelVersion: row.model_version,
    source: row.source,
    probability: row.probability,
    receivedAt: row.received_at,
    labelledAt: row.labelled_at,
    confirmedAt: row.confirmed_at,
  };
}

import { CompiledQuery } from 'kysely';
import type { Queries } from '../database/database.ts';
import type { LabelRow } from '../database/schema.ts';

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

export interface LabelStore {
  /**
   * Stores what one scored batch gave, in one statement: all or nothing.
   * A customer may occur more than once. A repeat of the current inputs, version and label only moves `confirmedAt`;
   * an older answer that arrives late goes to the history.
   * @returns for each labelling, in order, when it was first made and last confirmed.
   */
  write(labellings: readonly Labelling[]): Promise<{ labelledAt: Date; confirmedAt: Date }[]>;
  /** The current label of each of these customers that has one. */
  current(customerIds: readonly string[]): Promise<Map<string, StoredLabel>>;
}

export function createLabelStore(queries: Queries): LabelStore {
  return {
    async write(labellings) {
      const rows = prepare(labellings);
      const { rows: stored } = await queries.executeQuery<WrittenRow>(
        CompiledQuery.raw(writeStatement, writeParameters(rows)),
      );
      const byCustomer = new Map(stored.map((row) => [row.customer_id, row]));
      const times: { labelledAt: Date; confirmedAt: Date }[] = [];
      for (const { labelling, isLast, places } of rows) {
        const kept = isLast ? byCustomer.get(labelling.customerId) : undefined;
        for (const place of places)
          times[place] = {
            labelledAt: kept?.labelled_at ?? labelling.labelledAt,
            confirmedAt: kept?.confirmed_at ?? labelling.labelledAt,
          };
      }
      return times;
    },

    async current(customerIds) {
      const { rows } = await queries.executeQuery<LabelRow>(CompiledQuery.raw(currentStatement, [customerIds]));
      return new Map(rows.map((row) => [row.customer_id, toStoredLabel(row)]));
    },
  };
}

interface WriteRow {
  labelling: Labelling;
  /** Where in the given list it stands; more than one when the same labelling was given again and again. */
  places: number[];
  isFirst: boolean;
  isLast: boolean;
}

/**
 * In customer order, so that two writers never wait for each other in a circle; a customer's own labellings by when
 * their features came, equal neighbours as one.
 */
function prepare(labellings: readonly Labelling[]): WriteRow[] {
  const sorted = labellings
    .map((labelling, place) => ({ labelling, place }))
    .sort(
      (a, b) =>
        compare(a.labelling.customerId, b.labelling.customerId) ||
        a.labelling.receivedAt.getTime() - b.labelling.receivedAt.getTime() ||
        a.place - b.place,
    );
  const rows: WriteRow[] = [];
  for (const { labelling, place } of sorted) {
    const before = rows.at(-1);
    const sameCustomer = before?.labelling.customerId === labelling.customerId;
    if (before && sameCustomer && isRepeat(before.labelling, labelling)) {
      before.places.push(place);
      before.labelling = { ...labelling, labelledAt: before.labelling.labelledAt };
      continue;
    }
    if (before && sameCustomer) before.isLast = false;
    rows.push({ labelling, places: [place], isFirst: !sameCustomer, isLast: true });
  }
  return rows;
}

function isRepeat(a: Labelling, b: Labelling): boolean {
  return (
    a.label === b.label &&
    a.modelName === b.modelName &&
    a.modelVersion === b.modelVersion &&
    a.source === b.source &&
    a.scale === b.scale &&
    a.inputs.length === b.inputs.length &&
    a.inputs.every((value, i) => value === b.inputs[i])
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const currentStatement = 'SELECT * FROM current_labels WHERE customer_id = ANY($1::text[])';

const columns =
  'customer_id, inputs, scale, contract_id, label, model_name, model_version, source, probability, received_at, labelled_at, confirmed_at';
const sameAs = (a: string, b: string) =>
  ['inputs', 'scale', 'label', 'model_name', 'model_version', 'source']
    .map((column) => `${a}.${column} IS NOT DISTINCT FROM ${b}.${column}`)
    .join(' AND ');

/**
 * `stored`: each customer's last labelling becomes the current one, or confirms it, unless the current one's features
 * are newer. `late` and `earlier`: those that did not become current go straight to the history.
 */
const writeStatement = `
    WITH incoming AS (
      SELECT place, is_first, is_last, customer_id, inputs::float8[], scale, contract_id, label, model_name,
        model_version, source, probability, received_at::timestamptz, labelled_at::timestamptz,
        labelled_at::timestamptz AS confirmed_at
      FROM unnest(
        $1::bool[],
        $2::bool[],
        $3::text[],
        $4::text[],
        $5::text[],
        $6::int[],
        $7::text[],
        $8::text[],
        $9::text[],
        $10::text[],
        $11::float8[],
        $12::text[],
        $13::text[]
      ) WITH ORDINALITY AS given(is_first, is_last, customer_id, inputs, scale, contract_id, label, model_name,
        model_version, source, probability, received_at, labelled_at, place)
    ),
    stored AS (
      INSERT INTO current_labels AS c (${columns})
      SELECT ${columns} FROM incoming WHERE is_last ORDER BY place
      ON CONFLICT (customer_id) DO UPDATE SET
        id = CASE WHEN ${sameAs('c', 'excluded')} THEN c.id ELSE excluded.id END,
        inputs = excluded.inputs, scale = excluded.scale, contract_id = excluded.contract_id, label = excluded.label,
        model_name = excluded.model_name, model_version = excluded.model_version, source = excluded.source,
        probability = CASE WHEN ${sameAs('c', 'excluded')} THEN coalesce(excluded.probability, c.probability) ELSE excluded.probability END,
        received_at = greatest(c.received_at, excluded.received_at),
        labelled_at = CASE WHEN ${sameAs('c', 'excluded')} THEN c.labelled_at ELSE excluded.labelled_at END,
        confirmed_at = greatest(c.confirmed_at, excluded.confirmed_at)
      WHERE excluded.received_at >= c.received_at OR (${sameAs('c', 'excluded')})
      RETURNING c.customer_id, c.labelled_at, c.confirmed_at
    ),
    late AS (
      INSERT INTO label_history (${columns})
      SELECT ${columns} FROM incoming i
      WHERE is_last AND NOT EXISTS (SELECT FROM stored s WHERE s.customer_id = i.customer_id)
    ),
    earlier AS (
      INSERT INTO label_history (${columns})
      SELECT ${columns} FROM incoming i
      WHERE NOT is_last AND NOT (is_first AND EXISTS (
        SELECT FROM current_labels c WHERE c.customer_id = i.customer_id AND ${sameAs('c', 'i')}))
    )
    SELECT customer_id, labelled_at, confirmed_at FROM stored`;

interface WrittenRow {
  customer_id: string;
  labelled_at: Date;
  confirmed_at: Date;
}

/** A list for each of the statement's columns. */
function writeParameters(rows: WriteRow[]) {
  const column = <T>(value: (row: WriteRow) => T) => rows.map(value);
  return [
    column((row) => row.isFirst),
    column((row) => row.isLast),
    column((row) => row.labelling.customerId),
    column((row) => `{${row.labelling.inputs.join(',')}}`),
    column((row) => row.labelling.scale),
    column((row) => row.labelling.contractId),
    column((row) => row.labelling.label),
    column((row) => row.labelling.modelName),
    column((row) => row.labelling.modelVersion),
    column((row) => row.labelling.source),
    column((row) => row.labelling.probability),
    column((row) => row.labelling.receivedAt.toISOString()),
    column((row) => row.labelling.labelledAt.toISOString()),
  ];
}

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

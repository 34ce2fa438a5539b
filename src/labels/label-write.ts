import type { Labelling } from './labelling.ts';

export interface WriteRow {
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
export function prepareRows(labellings: readonly Labelling[]): WriteRow[] {
  const sorted = labellings
    .map((labelling, place) => ({ labelling, place }))
    .sort(
      (a, b) =>
        compareText(a.labelling.customerId, b.labelling.customerId) ||
        a.labelling.receivedAt.getTime() - b.labelling.receivedAt.getTime() ||
        a.place - b.place,
    );
  const rows: WriteRow[] = [];
  for (const { labelling, place } of sorted) {
    const before = rows.at(-1);
    const sameCustomer = before?.labelling.customerId === labelling.customerId;
    if (before && sameCustomer && isRepeat(before.labelling, labelling)) {
      before.places.push(place);
      const { labelledAt, probability } = before.labelling;
      before.labelling = { ...labelling, labelledAt, probability: labelling.probability ?? probability };
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

/** The order of customers that every writer keeps. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

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
export const writeStatement = writeStatementOf({
  incoming: `
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
        model_version, source, probability, received_at, labelled_at, place)`,
});

/**
 * The same for what `incoming` selects, only while `claim` gives a row: one statement, so that either all of it happens
 * or nothing.
 */
export function writeStatementOf({ incoming, claim }: { incoming: string; claim?: string }): string {
  return `
    WITH ${claim === undefined ? '' : `claim AS (${claim}),`} incoming AS (
      ${incoming}
      ${claim === undefined ? '' : 'WHERE EXISTS (SELECT FROM claim)'}
    ),
    stored AS (
      INSERT INTO current_labels AS c (${columns})
      SELECT ${columns} FROM incoming WHERE is_last ORDER BY place
      ON CONFLICT (customer_id) DO UPDATE SET
        id = CASE WHEN ${sameAs('c', 'excluded')} THEN c.id ELSE excluded.id END,
        inputs = excluded.inputs, scale = excluded.scale, contract_id = excluded.contract_id, label = excluded.label,
        model_name = excluded.model_name, model_version = excluded.model_version, source = excluded.source,
        probability = CASE
          WHEN NOT (${sameAs('c', 'excluded')}) THEN excluded.probability
          WHEN excluded.received_at >= c.received_at THEN coalesce(excluded.probability, c.probability)
          ELSE coalesce(c.probability, excluded.probability)
        END,
        received_at = greatest(c.received_at, excluded.received_at),
        labelled_at = CASE WHEN ${sameAs('c', 'excluded')} THEN c.labelled_at ELSE excluded.labelled_at END,
        confirmed_at = greatest(c.confirmed_at, excluded.confirmed_at)
      WHERE excluded.received_at >= c.received_at OR (${sameAs('c', 'excluded')})
      RETURNING c.customer_id, c.labelled_at, c.confirmed_at, c.probability
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
    ${claim === undefined ? 'SELECT customer_id, labelled_at, confirmed_at, probability FROM stored' : 'SELECT count(*)::int AS held FROM claim'}`;
}

export interface WrittenRow {
  customer_id: string;
  labelled_at: Date;
  confirmed_at: Date;
  probability: number | null;
}

/**
 * An array for each of the statement's columns, as PostgreSQL writes arrays: making them here takes a tenth of the time
 * that a driver takes which must look at each value first.
 */
export function writeParameters(rows: readonly WriteRow[]): string[] {
  const column = (value: (row: WriteRow) => string | number | boolean) => `{${rows.map(value).join(',')}}`;
  const time = memoizeTime();
  return [
    column((row) => row.isFirst),
    column((row) => row.isLast),
    column((row) => quote(row.labelling.customerId)),
    column((row) => `"{${row.labelling.inputs.join(',')}}"`),
    column((row) => row.labelling.scale),
    column((row) => row.labelling.contractId),
    column((row) => quote(row.labelling.label)),
    column((row) => quote(row.labelling.modelName)),
    column((row) => (row.labelling.modelVersion === null ? 'NULL' : quote(row.labelling.modelVersion))),
    column((row) => row.labelling.source),
    column((row) => row.labelling.probability ?? 'NULL'),
    column((row) => time(row.labelling.receivedAt)),
    column((row) => time(row.labelling.labelledAt)),
  ];
}

const special = /["\\]/g;
const hasSpecial = /["\\]/;

/** A text within the text of an array. */
export function quote(text: string): string {
  return hasSpecial.test(text) ? `"${text.replace(special, String.raw`\$&`)}"` : `"${text}"`;
}

/** A batch has few times in it, each many times over. */
function memoizeTime(): (time: Date) => string {
  let [last, written] = [NaN, ''];
  return (time) => {
    if (time.getTime() !== last) {
      last = time.getTime();
      written = time.toISOString();
    }
    return written;
  };
}

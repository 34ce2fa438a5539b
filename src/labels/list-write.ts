import { toFloat8Array } from '../database/float8-array.ts';
import { compareText, quote, writeStatementOf } from './label-write.ts';
import type { Labelling } from './labelling.ts';

/** What many labellings of a list have in common. */
export type LabelKind = Pick<Labelling, 'scale' | 'contractId' | 'label' | 'modelName' | 'modelVersion'>;

/** Labellings by column: a list has too many for an object each. */
export interface LabelColumns extends Pick<Labelling, 'source' | 'labelledAt'> {
  customerIds: readonly string[];
  /** One labelling after the other, in the contract's order. */
  inputs: Float64Array;
  kinds: readonly LabelKind[];
  /** Which kind each is. */
  kindOf: Uint16Array;
  /** NaN where none is known. */
  probabilities: Float64Array;
  /** Milliseconds since 1970. */
  receivedAt: Float64Array;
}

const incoming = `
      SELECT place, turn IN (0, 1) AS is_first, turn IN (0, 3) AS is_last, customer_id,
        ($2::float8[])[(place::int - 1) * $3::int + 1 : place::int * $3::int] AS inputs,
        ($8::text[])[kind] AS scale, ($9::int[])[kind] AS contract_id, ($10::text[])[kind] AS label,
        ($11::text[])[kind] AS model_name, ($12::text[])[kind] AS model_version, $13::text AS source,
        nullif(probability, 'NaN') AS probability, to_timestamp(received / 1000) AS received_at,
        $14::timestamptz AS labelled_at, $14::timestamptz AS confirmed_at
      FROM unnest($1::text[], $4::int[], $5::int[], $6::float8[], $7::float8[])
        WITH ORDINALITY AS given(customer_id, turn, kind, probability, received, place)`;

/** Writes a list's labels as `writeStatement` does those of single customers, only while `claim` gives a row. */
export function listWriteStatement(claim: string): string {
  return writeStatementOf({ incoming, claim });
}

export const listParameterCount = 14;

/** The statement's parameters; those of the claim come after them. */
export function listWriteParameters(columns: LabelColumns): unknown[] {
  const { customerIds, inputs, kinds, kindOf, probabilities, receivedAt, source, labelledAt } = columns;
  const width = customerIds.length === 0 ? 0 : inputs.length / customerIds.length;
  const order = inOrder(columns, width);
  const ordered = new Float64Array(order.length * width);
  for (const [to, from] of order.entries()) ordered.set(inputs.subarray(from * width, (from + 1) * width), to * width);
  const column = (value: (place: number) => string | number) => `{${Array.from(order, value).join(',')}}`;
  const ofKinds = (value: (kind: LabelKind) => string | number) => `{${kinds.map(value).join(',')}}`;
  return [
    column((place) => quote(customerIds[place] as string)),
    toFloat8Array(ordered),
    width,
    `{${turnsOf(order, customerIds).join(',')}}`,
    column((place) => (kindOf[place] as number) + 1),
    toFloat8Array(Float64Array.from(order, (place) => probabilities[place] as number)),
    toFloat8Array(Float64Array.from(order, (place) => receivedAt[place] as number)),
    ofKinds(({ scale }) => scale),
    ofKinds(({ contractId }) => contractId),
    ofKinds(({ label }) => quote(label)),
    ofKinds(({ modelName }) => quote(modelName)),
    ofKinds(({ modelVersion }) => (modelVersion === null ? 'NULL' : quote(modelVersion))),
    source,
    labelledAt.toISOString(),
  ];
}

/** The places in customer order, as `prepareRows` puts them; of equal neighbours the last one. */
function inOrder({ customerIds, inputs, kindOf, receivedAt }: LabelColumns, width: number): number[] {
  const id = (place: number) => customerIds[place] as string;
  const sorted = Array.from(customerIds.keys()).sort(
    (a, b) => compareText(id(a), id(b)) || (receivedAt[a] as number) - (receivedAt[b] as number) || a - b,
  );
  const isRepeat = (a: number, b: number) => {
    if (id(a) !== id(b) || kindOf[a] !== kindOf[b]) return false;
    for (let i = 0; i < width; i += 1) if (inputs[a * width + i] !== inputs[b * width + i]) return false;
    return true;
  };
  return sorted.filter((place, i) => i === sorted.length - 1 || !isRepeat(place, sorted[i + 1] as number));
}

/** Of each place whether it is its customer's only one (0), first (1), between (2) or last (3). */
function turnsOf(order: readonly number[], customerIds: readonly string[]): number[] {
  const isSame = (i: number, k: number) => customerIds[order[i] as number] === customerIds[order[k] as number];
  return order.map((_, i) => {
    const isFirst = i === 0 || !isSame(i - 1, i);
    const isLast = i === order.length - 1 || !isSame(i, i + 1);
    return isFirst ? (isLast ? 0 : 1) : isLast ? 3 : 2;
  });
}

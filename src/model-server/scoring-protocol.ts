import * as z from 'zod';
import type { Contract, LabelCode } from '../contract/contract.ts';
import { float32Max } from '../contract/scaling.ts';

/** What a model server said of some vectors, one entry a vector. Probabilities are of the contract's positive label. */
export interface Scores {
  labels: LabelCode[];
  probabilities: number[] | null;
}

export type ReplyFault = 'not_predictions' | 'wrong_count' | 'not_probabilities';

/** The MLflow whose scoring protocol is spoken here; what GET /version answers. */
export const mlflowProtocolVersion = '2.1.0';

const replySchema = z.object({
  predictions: z.union([z.array(z.union([z.number(), z.string()])), z.array(z.array(z.number().min(0).max(1)))]),
});

/** Standardised vectors as they stand in a request's body: each a JSON array, with commas between them. */
export interface BodyRows {
  count: number;
  json: string;
}

export function toBodyRows(vectors: readonly (readonly number[])[]): BodyRows {
  return { count: vectors.length, json: JSON.stringify(vectors).slice(1, -1) };
}

export function joinRows(parts: readonly BodyRows[]): BodyRows {
  const filled = parts.filter(({ count }) => count > 0);
  return {
    count: filled.reduce((sum, { count }) => sum + count, 0),
    json: filled.map(({ json }) => json).join(','),
  };
}

/** MLflow's request body. */
export function formatInvocation({ json }: BodyRows): string {
  return `{"inputs":[${json}]}`;
}

/** MLflow's reply body, byte for byte as Python writes it. */
export function formatPredictions(predictions: readonly (LabelCode | number)[]): string {
  return `{"predictions": [${predictions.map((prediction) => JSON.stringify(prediction)).join(', ')}]}`;
}

/**
 * Reads MLflow's reply: label codes, or one row of probabilities a vector, in the order of the contract's labels.
 * Anything else is named as a fault. Whether the codes are the contract's is for the guard to say.
 */
export function parsePredictions(reply: unknown, count: number, { labels }: Contract): Scores | ReplyFault {
  const parsed = replySchema.safeParse(reply);
  if (!parsed.success) return 'not_predictions';
  const { predictions } = parsed.data;
  if (predictions.length !== count) return 'wrong_count';
  if (!isTable(predictions)) return { labels: predictions, probabilities: null };

  const sound = predictions.every((row) => row.length === labels.length && Math.abs(sum(row) - 1) < 1e-3);
  if (!sound) return 'not_probabilities';
  const positive = labels.findIndex((label) => label.positive);
  return {
    labels: predictions.map((row) => labels[row.indexOf(Math.max(...row))]?.code as LabelCode),
    probabilities: positive === -1 ? null : predictions.map((row) => row[positive] as number),
  };
}

function isTable(predictions: (number | string)[] | number[][]): predictions is number[][] {
  return Array.isArray(predictions[0]);
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

const table = z.array(z.array(z.unknown()));
const invocationSchema = z.union([
  z.strictObject({ inputs: table }),
  z.strictObject({ instances: table }),
  z.strictObject({
    dataframe_split: z.strictObject({
      data: table,
      columns: z.array(z.union([z.string(), z.int()])).optional(),
      index: z.array(z.unknown()).optional(),
    }),
  }),
  z.strictObject({ dataframe_records: z.array(z.record(z.string(), z.unknown())) }),
]);

/** An /invocations body that cannot be scored; the message is safe to show and quotes none of the body. */
export class InvocationError extends Error {
  override name = 'InvocationError';
}

/**
 * The standardised vectors of an /invocations body, in any of MLflow's four formats.
 * Columns that are named are put in the model's order; MLflow itself would take them as they come.
 * @throws InvocationError
 */
export function parseInvocation(body: unknown, featureNames: readonly string[], maxRows = Infinity): number[][] {
  if (longestList(body) > maxRows) throw new InvocationError(`At most ${maxRows} rows go in one request.`);
  const parsed = invocationSchema.safeParse(body);
  if (!parsed.success)
    throw new InvocationError(
      'The body must be an object with exactly one of inputs, instances, dataframe_split or dataframe_records, holding one row a customer.',
    );
  const rows = rowsOf(parsed.data, featureNames);
  if (rows.length === 0) throw new InvocationError('There is no row to score.');
  rows.forEach((row, i) => checkRow(row, i, featureNames.length));
  return rows as number[][];
}

/** Of the lists in the body's fields, and in their fields: rows, columns, index. Known before any row is looked at. */
function longestList(value: unknown, levels = 2): number {
  if (Array.isArray(value)) return value.length;
  if (levels === 0 || typeof value !== 'object' || value === null) return 0;
  return Math.max(0, ...Object.values(value).map((part) => longestList(part, levels - 1)));
}

function rowsOf(body: z.output<typeof invocationSchema>, featureNames: readonly string[]): unknown[][] {
  if ('inputs' in body) return body.inputs;
  if ('instances' in body) return body.instances;
  if ('dataframe_records' in body)
    return body.dataframe_records.map((record) => {
      if (Object.keys(record).length !== featureNames.length) throw unknownColumns();
      return featureNames.map((name) => record[name]);
    });
  const { columns, data } = body.dataframe_split;
  if (columns === undefined || columns.every((column) => typeof column === 'number')) return data;
  const order = featureNames.map((name) => columns.indexOf(name));
  if (columns.length !== featureNames.length || order.includes(-1)) throw unknownColumns();
  return data.map((row) => (row.length === columns.length ? order.map((i) => row[i]) : row));
}

function unknownColumns() {
  return new InvocationError("The column names are not the model's features.");
}

function checkRow(row: unknown[], index: number, count: number) {
  if (row.length !== count)
    throw new InvocationError(`Row ${index} has ${row.length} values; the model takes ${count}.`);
  const wrong = row.findIndex((value) => typeof value !== 'number' || !(Math.abs(value) <= float32Max));
  if (wrong !== -1) throw new InvocationError(`Row ${index}, value ${wrong}, is not a number that the model can read.`);
}

import {
  type Contract,
  type Feature,
  goldenRowsPerCall,
  type LabelCode,
  type LabelKind,
} from '../contract/contract.ts';
import type { ModelDescription } from '../contract/feature-list.ts';
import { standardize } from '../contract/scaling.ts';
import { ServiceError } from '../errors.ts';
import type { ModelServerClient } from '../model-server/model-server-client.ts';
import { chooseGoldenRows, countShown, type GoldenCandidate } from './choose-golden-rows.ts';
import { toBodyRows } from '../model-server/scoring-protocol.ts';

export interface Adoption {
  contract: Contract;
  /** How often the model gave each label to the rows it was asked. */
  seen: { label: LabelCode; rows: number }[];
  /** Of the mistakes that can show at all: how many show in the rows of each call, and in all golden rows. */
  mistakes: { all: number; shownByEachCall: number };
}

interface AdoptOptions {
  description: ModelDescription;
  model: { name: string; version: string | null };
  client: Pick<ModelServerClient, 'invoke'>;
  /** Between 0 and 1, as Math.random; seeded, so that adopting twice gives the same rows. */
  random?: () => number;
}

const askedRows = 4_096;
const candidateRows = 400;
const rowsPerCall = 2_048;

/**
 * Makes the contract of a model that was registered without one, by asking the model server that runs it: made-up
 * customers, their labels, and which of them change label under a mistake (columns swapped, scaling exchanged or left out).
 * @throws ServiceError model_bad_answer when the server gives fewer than two labels, or labels that were not named.
 */
export async function adoptContract({
  description,
  model,
  client,
  random = seededRandom(),
}: AdoptOptions): Promise<Adoption> {
  const { features } = description;
  const rows = Array.from({ length: askedRows }, () => features.map((feature) => sample(feature, random)));
  const labels = await ask(
    client,
    rows.map((row) => standardize({ features }, row)),
  );
  const seen = count(labels);
  const kinds = description.labels ?? nameByCode(seen.map(({ label }) => label));
  checkLabels(seen, kinds);

  const pool = spread(labels, candidateRows);
  const vectors = pool.map((i) => rows[i] as number[]).flatMap((row) => mistakes(features, row));
  const mistaken = await ask(client, vectors);
  const perRow = vectors.length / pool.length;
  const candidates = pool.map((i, k): GoldenCandidate => ({
    label: labels[i] as LabelCode,
    underMistake: mistaken.slice(k * perRow, (k + 1) * perRow),
  }));

  const chosen = chooseGoldenRows(candidates);
  const pick = (indexes: number[]) => indexes.map((k) => candidates[k] as GoldenCandidate);
  return {
    contract: {
      contractVersion: 1,
      model: { ...model, runId: null },
      features,
      labels: kinds,
      goldenRows: chosen.map((k) => {
        const row = rows[pool[k] as number] as number[];
        const named = Object.fromEntries(features.map(({ name }, i) => [name, row[i] as number]));
        return { features: named, label: candidates[k]?.label as LabelCode };
      }),
      onnx: null,
      training: null,
    },
    seen,
    mistakes: { all: countShown(candidates), shownByEachCall: countShown(pick(chosen.slice(0, goldenRowsPerCall))) },
  };
}

async function ask(client: Pick<ModelServerClient, 'invoke'>, vectors: number[][]): Promise<LabelCode[]> {
  const labels: LabelCode[] = [];
  for (let at = 0; at < vectors.length; at += rowsPerCall) {
    const part = vectors.slice(at, at + rowsPerCall);
    const reply = (await client.invoke(toBodyRows(part))) as { predictions?: unknown };
    if (!Array.isArray(reply.predictions) || reply.predictions.length !== part.length)
      throw new ServiceError('model_bad_answer', { reason: 'the model server did not answer with one label a row' });
    labels.push(...(reply.predictions as LabelCode[]));
  }
  return labels;
}

/** A made-up value of a feature: within its training range, else three standard deviations around its mean. */
function sample({ allowed, trainingRange, scaling, type }: Feature, random: () => number): number {
  if ('values' in allowed) return allowed.values[Math.floor(random() * allowed.values.length)] as number;
  const minimum = Math.max(trainingRange?.minimum ?? scaling.mean - 3 * scaling.scale, allowed.minimum ?? -Infinity);
  const maximum = Math.min(trainingRange?.maximum ?? scaling.mean + 3 * scaling.scale, allowed.maximum ?? Infinity);
  const value = minimum + random() * (maximum - minimum);
  return type === 'number' ? Number(value.toPrecision(6)) : Math.round(value);
}

/** The vectors that this customer becomes under each mistake. */
function mistakes(features: Feature[], row: readonly number[]): number[][] {
  const right = standardize({ features }, row);
  const found = [row.slice(), right.toReversed()];
  for (let i = 0; i < row.length; i += 1)
    for (let j = i + 1; j < row.length; j += 1) {
      found.push(swap(right, i, j));
      found.push(standardize({ features: swap(features, i, j) }, row));
    }
  return found;
}

function swap<T>(list: readonly T[], i: number, j: number): T[] {
  return list.with(i, list[j] as T).with(j, list[i] as T);
}

function count(labels: LabelCode[]) {
  const rows = Map.groupBy(labels, (label) => label);
  return [...rows]
    .map(([label, those]) => ({ label, rows: those.length }))
    .sort((a, b) => (a.label < b.label ? -1 : 1));
}

/** As many rows of each label as there are, up to an equal share. */
function spread(labels: LabelCode[], most: number): number[] {
  const byLabel = [...Map.groupBy(labels.keys(), (i) => labels[i]).values()];
  return byLabel.flatMap((indexes) => indexes.slice(0, Math.ceil(most / byLabel.length)));
}

function nameByCode(codes: LabelCode[]): LabelKind[] {
  return codes.map((code) => ({
    code,
    name: String(code),
    text: { en: String(code), es: String(code) },
    positive: codes.length === 2 && code === 1,
  }));
}

function checkLabels(seen: Adoption['seen'], kinds: LabelKind[]) {
  const unnamed = seen.filter(({ label }) => !kinds.some(({ code }) => code === label));
  const missing = kinds.filter(({ code }) => !seen.some(({ label }) => label === code));
  const list = seen.map(({ label, rows }) => `${label} (${rows})`).join(', ');
  if (seen.length < 2 || unnamed.length > 0 || missing.length > 0)
    throw new ServiceError('model_bad_answer', {
      reason: `of ${askedRows} made-up customers the model server gave the labels ${list}; the feature list names ${kinds.map(({ code }) => code).join(', ')}. Check the scaler, the order of the features and their training ranges.`,
    });
}

/** A small generator (mulberry32) with a fixed seed. */
function seededRandom(): () => number {
  let state = 42;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

import type { Contract, LabelCode } from '../contract/contract.ts';
import { type LabelKind, listWriteParameters } from '../labels/list-write.ts';
import type { Labelling } from '../labels/labelling.ts';
import type { ListTally } from '../list-files/list-report.ts';
import { addProbabilities, type VersionCopy } from './add-probabilities.ts';
import { countErrors } from './batch-report.ts';
import type { ChunkResult, ChunkRows, ChunkScores, RefusedInChunk } from './chunk-rows.ts';
import { hashCustomers } from './customer-hashes.ts';
import { packResult } from './pack-result.ts';

/** A version that labelled rows of a chunk. */
export type ChunkVersion = Pick<Labelling, 'contractId' | 'modelName' | 'modelVersion'> &
  ChunkResult['versions'][number] & { copy: VersionCopy | null };

export interface ScoredChunk {
  scores: ChunkScores;
  versions: ChunkVersion[];
  source: Labelling['source'];
  receivedAt: Date;
  labelledAt: Date;
}

export interface ReadRows {
  rows: ChunkRows;
  readBy: Contract;
}

export interface PreparedLabels {
  /** Of the statement that writes labels. */
  parameters: unknown[];
  /** ChunkResult, compressed. */
  result: Uint8Array;
  labelled: number;
  rejected: number;
  /** How many rows each version labelled; one without a name is `unknown`. */
  versions: Record<string, number>;
  /** Of the labelled rows' customers. */
  customerHashes: Uint8Array;
  errors: ListTally['errors'];
  /** How many rows each version gave each label. */
  counts: { label: string; modelVersion: string | null; rows: number }[];
  /** Labels that the version's copy gives otherwise. */
  disagreements: number;
}

/** Puts a chunk's rows and scores together as they are stored: the labels for the customers, the result for the list. */
export function prepareLabels({ rows, readBy }: ReadRows, scored: ScoredChunk): PreparedLabels {
  const { accepted } = rows;
  const { scores, versions, source, labelledAt } = scored;
  if (scores.labels.length !== accepted.count) throw new Error('as many scores as rows are needed');
  const copies = versions.map(({ copy }) => copy);
  const { probabilities, disagreements } = addProbabilities(rows, readBy, scores, copies);
  // Places of the labelled rows among the accepted ones
  const places = scores.labels.flatMap((label, i) => (label === null ? [] : [i]));
  const { kinds, kindOf } = findKinds(places, rows, scored);
  const customerIds = places.map((place) => accepted.customerIds[place] as string);
  const receivedAt = (place: number) => (accepted.receivedAt?.[place] ?? scored.receivedAt).getTime();
  const parameters = listWriteParameters({
    customerIds,
    inputs: takeRows(accepted.given, accepted.count, places),
    kinds,
    kindOf,
    probabilities: take(probabilities, places),
    receivedAt: Float64Array.from(places, receivedAt),
    source,
    labelledAt,
  });

  const refused = [...rows.refused, ...refusedByModel(rows, scores)].sort((a, b) => a.row - b.row);
  const codes = [...new Set(kinds.map(({ code }) => code))];
  const result: ChunkResult = {
    versions: versions.map(({ version, texts }) => ({ version, texts })),
    codes,
    labelled: {
      rows: Uint32Array.from(places, (place) => accepted.rows[place] as number),
      labels: Uint16Array.from(kindOf, (kind) => codes.indexOf((kinds[kind] as Kind).code)),
      probabilities: take(probabilities, places),
      by: Uint16Array.from(kindOf, (kind) => (kinds[kind] as Kind).by),
    },
    refused,
  };
  return {
    parameters,
    result: packResult(result),
    labelled: places.length,
    rejected: refused.length,
    versions: countBy(kinds, ({ modelVersion }) => modelVersion ?? 'unknown'),
    customerHashes: hashCustomers(customerIds),
    errors: countErrors(refused),
    counts: kinds.map(({ label, modelVersion, rows }) => ({ label, modelVersion, rows })),
    disagreements,
  };
}

interface Kind extends LabelKind {
  code: LabelCode;
  by: number;
  rows: number;
}

/** Labellings with the same label, version and scale are one kind: a chunk has few. */
function findKinds(places: readonly number[], { accepted }: ChunkRows, { scores, versions }: ScoredChunk) {
  const kinds: Kind[] = [];
  const kindOf = Uint16Array.from(places, (place) => {
    const [code, by] = [scores.labels[place] as LabelCode, scores.by[place] as number];
    const scale = accepted.scales[place] as LabelKind['scale'];
    let kind = kinds.findIndex((one) => one.code === code && one.by === by && one.scale === scale);
    if (kind < 0) {
      const { contractId, modelName, modelVersion } = versions[by] as ChunkVersion;
      kind = kinds.push({ code, label: String(code), by, scale, contractId, modelName, modelVersion, rows: 0 }) - 1;
    }
    (kinds[kind] as Kind).rows += 1;
    return kind;
  });
  return { kinds, kindOf };
}

function refusedByModel({ accepted }: ChunkRows, { labels, refusedWithOthers }: ChunkScores): RefusedInChunk[] {
  const withOthers = new Set(refusedWithOthers);
  return labels.flatMap((label, i) => {
    if (label !== null) return [];
    const [row, lineNumber] = [accepted.rows[i] as number, accepted.lineNumbers[i] as number];
    const code = withOthers.has(i) ? ('refused_with_others' as const) : ('refused_by_model' as const);
    const faults = [{ field: 'row', column: null, code }];
    return [{ row, lineNumber, customerId: accepted.customerIds[i] as string, faults }];
  });
}

function take(from: Float64Array, places: readonly number[]): Float64Array {
  return Float64Array.from(places, (place) => from[place] as number);
}

function takeRows(from: Float64Array, count: number, places: readonly number[]): Float64Array {
  if (places.length === count) return from;
  const width = from.length / count;
  const taken = new Float64Array(places.length * width);
  for (const [i, place] of places.entries()) taken.set(from.subarray(place * width, (place + 1) * width), i * width);
  return taken;
}

function countBy(kinds: readonly Kind[], nameOf: (kind: Kind) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of kinds) counts[nameOf(kind)] = (counts[nameOf(kind)] ?? 0) + kind.rows;
  return counts;
}

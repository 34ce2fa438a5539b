import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import type { Contract } from '../contract/contract.ts';
import { createFeatureParser, type FeatureVector } from '../contract/feature-vector.ts';
import { restandardize } from '../contract/scaling.ts';
import type { InputFault } from '../errors.ts';
import type { StoredInputs } from '../labels/labelling.ts';
import type { StoredFeatures } from '../labels/list-labels.ts';
import type { RowFault } from '../list-files/parsed-row.ts';
import type { ChunkRows, RefusedInChunk } from './chunk-rows.ts';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** Customers' ids, an array as JSON, as the body of a chunk. */
export async function packIds(idsJson: string): Promise<Uint8Array> {
  return compress(idsJson);
}

export async function unpackIds(body: Uint8Array): Promise<string> {
  return (await decompress(body)).toString();
}

/** Reads the stored features of a chunk's customers by a contract; takes a while, so in the thread for lists. */
export function readStoredRows(
  idsJson: string,
  { json, features: featuresOf }: StoredFeatures,
  contract: Contract,
): ChunkRows {
  const parse = createFeatureParser(contract);
  const stored = new Map((JSON.parse(json) as StoredInputs[]).map((one) => [one[0], one]));
  const accepted: { row: number; customerId: string; vector: FeatureVector; receivedAt: Date }[] = [];
  const refused: RefusedInChunk[] = [];
  for (const [row, customerId] of (JSON.parse(idsJson) as string[]).entries()) {
    const found = stored.get(customerId);
    if (!found) continue;
    const [, inputs, scale, contractId, receivedAt] = found;
    const from = featuresOf.get(contractId) as Contract['features'];
    const given = scale === 'standardized' ? restandardize(from, contract.features, inputs) : inputs;
    const features = Object.fromEntries(from.map(({ name }, i) => [name, given[i]]));
    const read = parse({ features, scale });
    if ('vector' in read) accepted.push({ row, customerId, vector: read.vector, receivedAt: new Date(receivedAt) });
    else refused.push({ row, lineNumber: row + 1, customerId, faults: read.faults.map(toRowFault) });
  }
  return {
    accepted: {
      count: accepted.length,
      rows: accepted.map(({ row }) => row),
      lineNumbers: accepted.map(({ row }) => row + 1),
      customerIds: accepted.map(({ customerId }) => customerId),
      scales: accepted.map(({ vector }) => vector.scale),
      given: Float64Array.from(accepted.flatMap(({ vector }) => vector.given)),
      standardized: Float64Array.from(accepted.flatMap(({ vector }) => vector.standardized)),
      receivedAt: accepted.map(({ receivedAt }) => receivedAt),
    },
    refused,
  };
}

function toRowFault({ pointer, ...fault }: InputFault): RowFault {
  return { field: pointer.slice(pointer.lastIndexOf('/') + 1), column: null, ...fault };
}

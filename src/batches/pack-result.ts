import { deserialize, serialize } from 'node:v8';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { ChunkResult } from './chunk-rows.ts';

/** V8 reads what earlier versions of it wrote; numbers stay numbers, which text would make a third of the writing. */
export function packResult(result: ChunkResult): Uint8Array {
  return zstdCompressSync(serialize(result));
}

/** null is the result of a chunk that was never worked on. */
export function unpackResult(packed: Uint8Array | null): ChunkResult {
  return packed === null ? nothing : (deserialize(zstdDecompressSync(packed)) as ChunkResult);
}

const nothing: ChunkResult = {
  versions: [],
  codes: [],
  labelled: {
    rows: new Uint32Array(),
    labels: new Uint16Array(),
    probabilities: new Float64Array(),
    by: new Uint16Array(),
  },
  refused: [],
};

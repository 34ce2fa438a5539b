import type { Queries } from '../database/database.ts';
import type { Batch } from './batch.ts';
import { mergeErrors } from './batch-report.ts';

/** What became of a list's rows so far. */
export interface Totals extends Pick<Batch, 'modelVersions' | 'errors'> {
  labelled: number;
  rejected: number;
}

interface ChunkTotals {
  batch_id: string;
  labelled: number;
  rejected: number;
  versions: unknown;
  errors: unknown;
}

export async function chunksOf(queries: Queries, batchIds: readonly string[]): Promise<ChunkTotals[]> {
  if (batchIds.length === 0) return [];
  return queries
    .selectFrom('batch_chunks')
    .select(['batch_id', 'labelled', 'rejected', 'versions', 'errors'])
    .where('batch_id', 'in', batchIds)
    .orderBy('number')
    .execute();
}

/** Adds the chunks of one list up. */
export function sumChunks(chunks: readonly ChunkTotals[]): Totals {
  const sum = (count: (chunk: ChunkTotals) => number) => chunks.reduce((total, chunk) => total + count(chunk), 0);
  const modelVersions: Record<string, number> = {};
  for (const { versions } of chunks)
    for (const [version, count] of Object.entries((versions ?? {}) as Record<string, number>))
      modelVersions[version] = (modelVersions[version] ?? 0) + count;
  return {
    labelled: sum((one) => one.labelled),
    rejected: sum((one) => one.rejected),
    modelVersions,
    errors: mergeErrors(chunks.map(({ errors }) => (errors ?? []) as Batch['errors'])),
  };
}

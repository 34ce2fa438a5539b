import type { Contract } from '../contract/contract.ts';
import { agreedProbabilities } from '../model-copy/agreed-probabilities.ts';
import type { ModelCopy } from '../model-copy/model-copies.ts';
import type { ChunkRows, ChunkScores } from './chunk-rows.ts';
import { scaledFor } from './scaled-for.ts';

/** What adds probabilities to one version's labels. */
export interface VersionCopy {
  copy: ModelCopy;
  /** null: the rows were read by this version. */
  contract: Contract | null;
}

/**
 * The probabilities that the model server did not say, of the copies of the versions that answered.
 * @returns NaN where none is known, and how many labels a copy gives otherwise.
 */
export function addProbabilities(
  { accepted }: ChunkRows,
  readBy: Contract,
  { labels, probabilities, by }: ChunkScores,
  copies: readonly (VersionCopy | null)[],
): { probabilities: Float64Array; disagreements: number } {
  const added = Float64Array.from(probabilities, (one) => one ?? Number.NaN);
  const width = accepted.count === 0 ? 0 : accepted.given.length / accepted.count;
  const rowOf = (from: Float64Array, place: number) => from.subarray(place * width, (place + 1) * width);
  let disagreements = 0;
  for (const [version, one] of copies.entries()) {
    if (!one) continue;
    const places = labels.flatMap((label, i) =>
      label === null || by[i] !== version || probabilities[i] !== null ? [] : [i],
    );
    const vectors = places.map((place) =>
      one.contract === null
        ? rowOf(accepted.standardized, place)
        : scaledFor(one.contract, readBy, rowOf(accepted.given, place), accepted.scales[place] === 'raw'),
    );
    const agreed = agreedProbabilities(one.copy, vectors, places.map((place) => labels[place]) as never);
    for (const [i, place] of places.entries()) added[place] = agreed.probabilities?.[i] ?? Number.NaN;
    disagreements += agreed.disagreements;
  }
  return { probabilities: added, disagreements };
}

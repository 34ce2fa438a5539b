import type { LabelCode } from '../contract/contract.ts';

/** A forest as arrays, so that walking it is quick and holds little memory. The nodes of all trees stand in one row. */
export interface Forest {
  /** How many features a vector has at least. */
  featureCount: number;
  /** Each tree's first node. */
  roots: Int32Array;
  /** The feature that a node asks about. */
  features: Int16Array;
  thresholds: Float32Array;
  /** Two a node: where to go when the feature is at most the threshold, and when it is more. A leaf leads to itself. */
  next: Int32Array;
  /** Where a leaf's votes begin. */
  voteAt: Int32Array;
  /** What a leaf adds to each label's probability, in the order of `labels`. */
  votes: Float64Array;
  labels: readonly LabelCode[];
}

export interface ForestAnswer {
  labels: LabelCode[];
  /** Each vector's probability of each of `forest.labels`, one vector after the other. */
  probabilities: Float64Array;
}

/** So many vectors go through one tree before the next tree: their features fit beside it where the processor is quick. */
const vectorsTogether = 2_048;

/**
 * Labels standardised vectors as scikit-learn's forest does: each value as float32, the trees' votes added up as float64.
 * Of equal probabilities the first label wins.
 * @param vectors finite numbers in the model's order, equally many each and at least `featureCount`.
 */
export function predictForest(forest: Forest, vectors: readonly ArrayLike<number>[]): ForestAnswer {
  const { labels, featureCount, roots } = forest;
  const width = labels.length;
  const probabilities = new Float64Array(vectors.length * width);
  const most = Math.min(vectorsTogether, vectors.length);
  const block: Block = {
    rows: new Int32Array(most),
    aside: new Int32Array(most),
    values: new Float32Array(most * featureCount),
    sums: new Float64Array(most * width),
    most,
  };
  for (let from = 0; from < vectors.length; from += most) {
    const count = Math.min(most, vectors.length - from);
    fill(block, vectors, { from, count, featureCount });
    for (const root of roots) sortInto(forest, block, root, 0, count);
    for (let i = 0; i < count; i += 1)
      for (let label = 0; label < width; label += 1)
        probabilities[(from + i) * width + label] = block.sums[label * most + i] as number;
  }
  return { labels: vectors.map((_, i) => likeliest(forest, probabilities, i * width)), probabilities };
}

interface Block {
  /** The block's vectors by number, sorted by the leaf that they come to. */
  rows: Int32Array;
  aside: Int32Array;
  /** Feature by feature, `most` vectors each. */
  values: Float32Array;
  /** Label by label, `most` vectors each. */
  sums: Float64Array;
  most: number;
}

function fill(
  { rows, values, sums, most }: Block,
  vectors: readonly ArrayLike<number>[],
  { from, count, featureCount }: { from: number; count: number; featureCount: number },
) {
  sums.fill(0);
  for (let i = 0; i < count; i += 1) {
    rows[i] = i;
    const vector = vectors[from + i] as ArrayLike<number>;
    for (let k = 0; k < featureCount; k += 1) values[k * most + i] = vector[k] as number;
  }
}

/**
 * Sends all vectors of a node on together, first those to the left and then those to the right, and adds a leaf's votes
 * to all that come to it: no vector is walked alone, and the processor need not guess where it goes.
 */
function sortInto(forest: Forest, block: Block, node: number, begin: number, end: number) {
  const { features, thresholds, next, voteAt, votes, labels } = forest;
  const { rows, aside, values, sums, most } = block;
  const right = next[2 * node + 1] as number;
  if (right === node) {
    for (let label = 0; label < labels.length; label += 1) {
      const vote = votes[(voteAt[node] as number) + label] as number;
      const at = label * most;
      for (let i = begin; i < end; i += 1) (sums[at + (rows[i] as number)] as number) += vote;
    }
    return;
  }
  const column = (features[node] as number) * most;
  const threshold = thresholds[node] as number;
  let middle = begin;
  let more = 0;
  for (let i = begin; i < end; i += 1) {
    const row = rows[i] as number;
    const isMore = Number((values[column + row] as number) > threshold);
    rows[middle] = row;
    aside[more] = row;
    middle += 1 - isMore;
    more += isMore;
  }
  for (let i = 0; i < more; i += 1) rows[middle + i] = aside[i] as number;
  if (middle > begin) sortInto(forest, block, next[2 * node] as number, begin, middle);
  if (more > 0) sortInto(forest, block, right, middle, end);
}

function likeliest({ labels }: Forest, probabilities: Float64Array, from: number): LabelCode {
  let best = 0;
  for (let label = 1; label < labels.length; label += 1)
    if ((probabilities[from + label] as number) > (probabilities[from + best] as number)) best = label;
  return labels[best] as LabelCode;
}

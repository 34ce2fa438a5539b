import type { LabelCode } from '../contract/contract.ts';
import { type ModelCopy, predictWith } from './model-copies.ts';

/**
 * The model server says labels only: the copy of the version that answered adds the positive label's probability.
 * @param vectors standardised, as the copy's version takes them.
 * @returns one a label, null where the copy gives another label; and how often it does.
 */
export function agreedProbabilities(
  copy: ModelCopy,
  vectors: readonly ArrayLike<number>[],
  labels: readonly LabelCode[],
): { probabilities: (number | null)[] | null; disagreements: number } {
  const copied = predictWith(copy, vectors);
  if (!copied.probabilities) return { probabilities: null, disagreements: 0 };
  const probabilities = copied.probabilities.map((value, i) => (copied.labels[i] === labels[i] ? value : null));
  return { probabilities, disagreements: probabilities.filter((one) => one === null).length };
}

import { goldenRowsPerCall, type LabelCode, minimumGoldenRows } from '../contract/contract.ts';

export interface GoldenCandidate {
  label: LabelCode;
  /** The label that the same customer gets under each mistake, such as two columns swapped. */
  underMistake: readonly LabelCode[];
}

/**
 * Chooses golden rows so that mistakes show: a mistake shows when some row's label changes under it.
 * Each label is among the first rows, which travel with every call; after that the row that shows most of what does
 * not show yet comes next, and once all shows, again from the start, so that each mistake shows in several rows.
 * @returns indexes of candidates, best first; as many as a contract needs, or all there are.
 */
export function chooseGoldenRows(candidates: readonly GoldenCandidate[]): number[] {
  const chosen: number[] = [];
  const left = new Set(candidates.keys());
  let hidden = allMistakes(candidates);

  const take = (index: number) => {
    chosen.push(index);
    left.delete(index);
    hidden = hidden.difference(shownBy(candidates[index] as GoldenCandidate));
  };
  const best = (among: Iterable<number>) => {
    let found: number | undefined;
    let most = -1;
    for (const index of among) {
      const count = shownBy(candidates[index] as GoldenCandidate).intersection(hidden).size;
      if (count > most) [found, most] = [index, count];
    }
    return { found, most };
  };

  for (const label of new Set(candidates.map((candidate) => candidate.label))) {
    if (chosen.length === goldenRowsPerCall) break;
    const { found } = best([...left].filter((index) => candidates[index]?.label === label));
    if (found !== undefined) take(found);
  }
  while (chosen.length < minimumGoldenRows && left.size > 0) {
    const { found, most } = best(left);
    if (most === 0) hidden = allMistakes(candidates);
    take(found as number);
  }
  return chosen;
}

/** How many of the mistakes that any candidate shows are shown by these. */
export function countShown(candidates: readonly GoldenCandidate[]): number {
  return allMistakes(candidates).size;
}

function allMistakes(candidates: readonly GoldenCandidate[]): Set<number> {
  return new Set(candidates.flatMap((candidate) => [...shownBy(candidate)]));
}

function shownBy({ label, underMistake }: GoldenCandidate): Set<number> {
  return new Set(underMistake.flatMap((other, mistake) => (other === label ? [] : [mistake])));
}

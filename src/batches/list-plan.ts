import type { Contract, Feature } from '../contract/contract.ts';
import type { CsvFormat } from '../list-files/list-format.ts';
import type { HeaderMapping } from '../list-files/map-header.ts';

/** How a list's chunks are read: decided once, when all of it was there. */
export type ListPlan =
  | { kind: 'csv'; featureNames: string[]; format: CsvFormat; mapping: HeaderMapping }
  | { kind: 'ndjson'; featureNames: string[] }
  | { kind: 'stored'; featureNames: string[] };

export function namesOf({ features }: { features: readonly Pick<Feature, 'name'>[] }): string[] {
  return features.map(({ name }) => name);
}

/** The plan for a contract that has the same features in any order; null when it wants others. */
export function planFor(plan: ListPlan, contract: Contract): ListPlan | null {
  const names = namesOf(contract);
  const places = names.map((name) => plan.featureNames.indexOf(name));
  if (names.length !== plan.featureNames.length || places.includes(-1)) return null;
  if (plan.kind !== 'csv') return { ...plan, featureNames: names };
  const featureColumns = places.map((place) => plan.mapping.featureColumns[place] as number);
  return { ...plan, featureNames: names, mapping: { ...plan.mapping, featureColumns } };
}

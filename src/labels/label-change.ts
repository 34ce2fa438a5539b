import type { StoredContract } from './contract-store.ts';
import type { Labelling } from './labelling.ts';

type Made = Pick<Labelling, 'inputs' | 'scale' | 'label' | 'modelName' | 'modelVersion' | 'contractId'> &
  Pick<StoredContract, 'features'>;

/**
 * What changed between two labellings of a customer; null when nothing did. Another label for the same inputs tells that
 * another model made it, also where no version is known.
 */
export function changeSince(before: Made, now: Made): 'inputs' | 'model' | 'both' | null {
  const inputs = !isSameInputs(before, now);
  const named = before.modelName !== now.modelName || before.modelVersion !== now.modelVersion;
  const model = named || (!inputs && before.label !== now.label);
  if (inputs) return model ? 'both' : 'inputs';
  return model ? 'model' : null;
}

/** Under different contracts the features may stand in another order. */
function isSameInputs(before: Made, now: Made): boolean {
  if (before.scale !== now.scale || before.inputs.length !== now.inputs.length) return false;
  if (before.contractId === now.contractId) return now.inputs.every((value, i) => value === before.inputs[i]);
  const earlier = new Map(before.features.map(({ name }, i) => [name, before.inputs[i]]));
  return now.features.every(({ name }, i) => earlier.get(name) === now.inputs[i]);
}

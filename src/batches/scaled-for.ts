import type { Contract } from '../contract/contract.ts';
import { standardize } from '../contract/scaling.ts';
import { ServiceError } from '../errors.ts';

/**
 * A vector that was read by one contract, as another version's model takes it.
 * @throws ServiceError model_untrusted when that one wants other features
 */
export function scaledFor(
  version: Pick<Contract, 'features'>,
  readBy: Pick<Contract, 'features'>,
  given: ArrayLike<number>,
  isRaw: boolean,
): number[] {
  const names = readBy.features.map(({ name }) => name);
  const ordered = version.features.map(({ name }) => given[names.indexOf(name)]);
  if (ordered.length !== names.length || ordered.includes(undefined))
    throw new ServiceError('model_untrusted', { reason: 'another version answers, which wants other features' });
  return isRaw ? standardize(version, ordered as number[]) : (ordered as number[]);
}

import type { Contract } from '../src/contract/contract.ts';
import { standardize } from '../src/contract/scaling.ts';

/** Made-up customers within the ranges of the training. */
export function makeCustomers({ features, ...contract }: Contract, count: number) {
  return Array.from({ length: count }, () => {
    const raw = features.map(({ trainingRange, allowed, type }) => {
      const { minimum, maximum } = trainingRange ?? { minimum: 0, maximum: 1 };
      if ('values' in allowed) return allowed.values[Math.floor(Math.random() * allowed.values.length)] as number;
      const value = minimum + Math.random() * (maximum - minimum);
      return type === 'number' ? Math.round(value * 10) / 10 : Math.round(value);
    });
    return {
      standardized: standardize({ ...contract, features }, raw),
      byName: Object.fromEntries(features.map(({ name }, i) => [name, raw[i] as number])),
    };
  });
}

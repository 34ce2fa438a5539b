import type { Contract } from './contract.ts';

/** What is made of a contract, made once for each. */
export function perContract<T extends object>(make: (contract: Contract) => T): (contract: Contract) => T {
  const made = new WeakMap<Contract, T>();
  return (contract) => {
    const known = made.get(contract) ?? make(contract);
    made.set(contract, known);
    return known;
  };
}

import type { Contract, GoldenRow } from './contract.ts';

/** The largest number that scikit-learn's trees can read (float32). */
export const float32Max = 3.4028234663852886e38;

/**
 * Standardises one raw vector as scikit-learn's StandardScaler does: (x - mean) / scale in float64.
 * @param raw one number a feature, in the contract's order and the ERP's units.
 */
export function standardize(contract: Pick<Contract, 'features'>, raw: readonly number[]): number[] {
  return contract.features.map(({ scaling }, i) => ((raw[i] as number) - scaling.mean) / scaling.scale);
}

/**
 * What one contract standardised, as another one does: it stands for the same in the ERP's units. A feature that both
 * scale alike, or that the other one lacks, stays as it is.
 * @param standardized one number a feature, in the order of `from`, which is also that of the answer.
 */
export function restandardize(
  from: Contract['features'],
  to: Contract['features'],
  standardized: readonly number[],
): number[] {
  return from.map(({ name, scaling: was }, i) => {
    const value = standardized[i] as number;
    const is = to.find((feature) => feature.name === name)?.scaling ?? was;
    if (is.mean === was.mean && is.scale === was.scale) return value;
    return (value * was.scale + was.mean - is.mean) / is.scale;
  });
}

/** A golden row as the model takes it: ordered and standardised by this contract. */
export function goldenVector(contract: Contract, row: GoldenRow): number[] {
  return standardize(
    contract,
    contract.features.map((feature) => row.features[feature.name] as number),
  );
}

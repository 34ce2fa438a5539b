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

/** A golden row as the model takes it: ordered and standardised by this contract. */
export function goldenVector(contract: Contract, row: GoldenRow): number[] {
  return standardize(
    contract,
    contract.features.map((feature) => row.features[feature.name] as number),
  );
}

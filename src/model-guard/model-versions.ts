import { type Contract, readContracts, readOnnx } from '../contract/contract.ts';

/** The versions of the model that may answer. */
export interface ModelVersions {
  /** The one that should be live first; never empty. A contract stays the same object as long as it is known. */
  contracts(): readonly Contract[];
  /** The bytes of a version's ONNX copy. @throws ContractError when there is none. */
  onnxOf(contract: Contract): Buffer;
}

/** Versions whose contract files an operator names, the ONNX copy beside each. @throws ContractError */
export function createFileVersions(
  files: readonly [string, ...string[]],
  contracts: readonly Contract[] = readContracts(files),
): ModelVersions {
  return {
    contracts: () => contracts,
    onnxOf: (contract) => readOnnx(contract, files[contracts.indexOf(contract)] ?? files[0]),
  };
}

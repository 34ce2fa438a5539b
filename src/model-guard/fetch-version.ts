import { readOnnx, type Contract, ContractError } from '../contract/contract.ts';
import type { Logger } from '../logger.ts';
import type { FetchedVersion, KeptVersion, KeptVersions } from './kept-versions.ts';
import { checkOnnx, checkRegisteredContract, contractArtifact, UnusableVersion } from './registered-contract.ts';
import type { ListedVersion, RegistryClient } from './registry-client.ts';

/** A version that can answer. */
export interface KnownVersion {
  runId: string;
  contract: Contract;
  /** @throws ContractError */
  onnx(): Buffer;
}

interface FetchVersionOptions {
  client: Pick<RegistryClient, 'readArtifact'>;
  kept: Pick<KeptVersions, 'read' | 'keep'>;
  modelName: string;
  logger: Logger;
}

const contractLimits = { maxBytes: 4_000_000, timeoutMs: 10_000 };
const onnxLimits = { maxBytes: 256_000_000, timeoutMs: 60_000 };
/** As scripts.training logs it. */
const artifactFolder = 'contract';

export function fromKept({ runId, contract, contractFile }: KeptVersion): KnownVersion {
  return { runId, contract, onnx: () => readOnnx(contract, contractFile) };
}

/**
 * Takes a version's contract and ONNX copy from this machine's disk, else from its run, and then keeps them.
 * @throws UnusableVersion, RegistryFault
 */
export function createFetchVersion({ client, kept, modelName, logger }: FetchVersionOptions) {
  return async ({ version, runId }: Pick<ListedVersion, 'version' | 'runId'>): Promise<KnownVersion> => {
    if (runId === null) throw new UnusableVersion('it was registered without a run, so its contract cannot be read');
    const here = await kept.read(version);
    if (here?.runId === runId) return fromKept(here);

    const artifact = (file: string, limits: typeof contractLimits) =>
      client.readArtifact(runId, `${artifactFolder}/${file}`, limits);
    const json = await artifact(contractArtifact, contractLimits);
    const contract = checkRegisteredContract(json, { name: modelName, version, runId });
    const onnx = contract.onnx && (await artifact(contract.onnx.file, onnxLimits));
    if (onnx) checkOnnx(contract, onnx);
    const fetched = { version, runId, json, contract, onnx };
    const now = await kept.keep(fetched).catch((error: unknown) => {
      logger.warn({ err: error, version }, 'a model version cannot be kept on disk');
      return null;
    });
    return now ? fromKept(now) : inMemory(fetched);
  };
}

function inMemory({ runId, contract, onnx }: FetchedVersion): KnownVersion {
  return {
    runId,
    contract,
    onnx() {
      if (onnx === null) throw new ContractError(`version ${contract.model.version} has no ONNX copy`);
      return onnx;
    },
  };
}

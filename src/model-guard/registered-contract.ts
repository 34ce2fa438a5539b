import { createHash } from 'node:crypto';
import { checkContract, type Contract } from '../contract/contract.ts';

/** Why a registered version cannot be used, in words that hold nothing of its own. */
export class UnusableVersion extends Error {
  override name = 'UnusableVersion';
}

/** What the registry says of a version. */
export interface VersionIdentity {
  name: string;
  version: string;
  runId: string;
}

export const contractArtifact = 'contract.json';
/** A file of the same folder, and no other name for it. */
const plainFile = /^\w[\w.-]{0,99}$/;

/**
 * Checks that a registered contract is one, and of this very version. A contract that was written before its version
 * had a number gets it.
 * @throws UnusableVersion
 */
export function checkRegisteredContract(json: Buffer, { name, version, runId }: VersionIdentity): Contract {
  const contract = parse(json);
  const { model, onnx } = contract;
  if (model.name !== name) throw new UnusableVersion('its contract is of another model');
  if (model.version !== null && model.version !== version)
    throw new UnusableVersion('its contract is of another version');
  if (model.runId !== null && model.runId !== runId) throw new UnusableVersion('its contract is of another run');
  if (onnx && (!plainFile.test(onnx.file) || /\.json$/i.test(onnx.file)))
    throw new UnusableVersion('its contract names an ONNX copy that is no file beside it');
  return { ...contract, model: { ...model, version } };
}

function parse(json: Buffer): Contract {
  let value: unknown;
  try {
    value = JSON.parse(json.toString());
  } catch {
    throw new UnusableVersion('its contract is no JSON');
  }
  try {
    return checkContract(value, '');
  } catch {
    throw new UnusableVersion('its contract is not one that this service understands');
  }
}

/** @throws UnusableVersion */
export function checkOnnx({ onnx }: Contract, bytes: Buffer): void {
  if (onnx !== null && sha256(bytes) !== onnx.sha256)
    throw new UnusableVersion("its ONNX copy is not the contract's: the SHA-256 differs");
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { Contract } from '../contract/contract.ts';
import type { Logger } from '../logger.ts';
import { OperatorError } from '../operator-error.ts';
import { createKeptVersions, keepingNothing, type KeptVersions } from './kept-versions.ts';
import { createFileVersions, type ModelVersions } from './model-versions.ts';
import { createRegistryClient, type RegistryClient, type RegistrySettings } from './registry-client.ts';
import { createRegistryVersions, type RegistryVersions, type RegistryVersionsState } from './registry-versions.ts';

export interface OpenedVersions {
  versions: ModelVersions;
  /** null: no registry is set. */
  registryClient: RegistryClient | null;
  /** The same as `versions` when they come from the registry, else null. */
  registryVersions: RegistryVersions | null;
}

interface OpenOptions {
  settings: {
    /** null: from the registry. */
    contractFiles: readonly [string, ...string[]] | null;
    registry: (RegistrySettings & { modelName: string | null }) | null;
    database: { dataDir: string };
  };
  logger: Logger;
  /** Time between two looks at the registry. */
  everyMs: number;
  /** Contracts that take the place of the settings'. */
  contracts?: readonly Contract[] | undefined;
  /** Leave the disk as it is. */
  onlyLook?: boolean;
}

/** The model's name where neither a setting nor a contract says it. */
const defaultModelName = 'rfc_tune';
/** So long at most the start waits for the registry when versions are kept on this machine. */
const patienceMs = 10_000;

/**
 * The versions that may answer, from files or from the registry, and the registry's client where one is set.
 * @throws OperatorError when no contract can be used: of the registry's none can be read, and none is kept.
 */
export async function openModelVersions(options: OpenOptions): Promise<OpenedVersions> {
  const { settings, logger, everyMs, contracts } = options;
  const { contractFiles, registry } = settings;
  const files = contracts || contractFiles ? createFileVersions(contractFiles ?? ['-'], contracts) : null;
  const modelName = registry?.modelName ?? files?.contracts()[0]?.model.name ?? defaultModelName;
  const registryClient = registry && createRegistryClient({ ...registry, modelName });
  if (files || !registryClient) return { versions: files as ModelVersions, registryClient, registryVersions: null };

  try {
    const kept = keptVersions(options, modelName);
    const registryVersions = createRegistryVersions({ client: registryClient, kept, modelName, logger, everyMs });
    await openRegistryVersions({ client: registryClient, versions: registryVersions, kept, modelName, logger });
    return { versions: registryVersions, registryClient, registryVersions };
  } catch (error) {
    registryClient.close();
    throw error;
  }
}

function keptVersions({ settings: { database }, onlyLook }: OpenOptions, modelName: string): KeptVersions {
  if (database.dataDir.startsWith('memory:')) return keepingNothing;
  const kept = createKeptVersions({ dataDir: database.dataDir, modelName });
  return onlyLook ? { ...kept, keep: keepingNothing.keep, keepRoles: keepingNothing.keepRoles } : kept;
}

interface FirstLookOptions {
  client: RegistryClient;
  versions: RegistryVersions;
  kept: KeptVersions;
  modelName: string;
  logger: Logger;
}

async function openRegistryVersions({ client, versions, kept, modelName, logger }: FirstLookOptions): Promise<void> {
  await versions.load();
  const loaded = versions.state().known;
  let reason: string | null = 'the registry did not answer in time';
  const look = async () => {
    const reading = await client.readLive();
    if (reading.outcome === 'up' && reading.live) await versions.follow(reading.live, () => null);
    ({ reason } = reading);
  };
  const looked = look();
  await (loaded.length === 0 ? looked : Promise.race([looked, sleep(patienceMs, undefined, { ref: false })]));
  if (versions.contracts().length === 0)
    throw new OperatorError(
      [
        `There is no contract of ${modelName}: none comes from the registry, and none is kept${kept.folder ? ` in ${kept.folder}` : ''}.`,
        ...(reason === null ? [] : [`  ${reason}`]),
        ...versions.state().unusable.map((one) => `  ${describeUnusable(one)}`),
        'Mend that and start again, or set MODEL_CONTRACT to a contract file.',
      ].join('\n'),
    );
  if (reason !== null)
    logger.warn(
      { versions: loaded, reason },
      'the registry cannot be read: starting with the model versions kept here',
    );
}

/** In a line, for an operator. */
export function describeUnusable({ version, reason }: RegistryVersionsState['unusable'][number]): string {
  return version === null ? `the list of versions: ${reason}` : `version ${version}: ${reason}`;
}

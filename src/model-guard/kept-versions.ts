import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import type { Contract } from '../contract/contract.ts';
import type { VersionRoles } from './choose-versions.ts';
import { checkOnnx, checkRegisteredContract, contractArtifact, sha256 } from './registered-contract.ts';

/** A version's artifacts as they came from the registry. */
export interface FetchedVersion {
  version: string;
  runId: string;
  json: Buffer;
  contract: Contract;
  onnx: Buffer | null;
}

/** A version on this machine's disk. */
export interface KeptVersion {
  runId: string;
  contract: Contract;
  contractFile: string;
}

/** The roles, and which version calls proved. */
export interface KeptRoles extends VersionRoles {
  answering: string | null;
}

export const noRoles: KeptRoles = { live: null, candidate: null, previous: null, answering: null };

export interface KeptVersions {
  /** Where; null: nothing is kept. */
  folder: string | null;
  /** What the versions were when last written; nothing, when nothing is kept or can be read. */
  roles(): Promise<KeptRoles>;
  /** The version, when it is here and whole. */
  read(version: string): Promise<KeptVersion | null>;
  /** @throws when the disk does not take it. */
  keep(fetched: FetchedVersion): Promise<KeptVersion | null>;
  /** Writes the roles, and removes the oldest versions that have none. @throws when the disk does not take it. */
  keepRoles(roles: KeptRoles): Promise<void>;
}

const number = z.string().regex(/^\d{1,18}$/);
const rolesSchema = z.object({
  live: number.nullable(),
  candidate: number.nullable(),
  previous: number.nullable(),
  answering: number.nullable(),
}) satisfies z.ZodType<KeptRoles>;
const sealSchema = z.object({ runId: z.string(), contractSha256: z.string() });

const rolesFile = 'versions.json';
const sealFile = 'kept.json';
/** Of versions without a role. */
const keptBesides = 5;
const abandonedAfterMs = 3_600_000;

/** Keeps nothing: for an in-memory database, and for whoever only looks. */
export const keepingNothing: KeptVersions = {
  folder: null,
  roles: async () => noRoles,
  read: async () => null,
  keep: async () => null,
  keepRoles: async () => {},
};

/**
 * Versions of one model in `dataDir/model-versions/<name>/<version>`. A folder is written beside and renamed, so that it is
 * whole or not there; what is found torn or changed counts as not there.
 */
export function createKeptVersions({ dataDir, modelName }: { dataDir: string; modelName: string }): KeptVersions {
  const folder = join(dataDir, 'model-versions', encodeURIComponent(modelName).replaceAll('.', '%2E'));

  async function read(version: string): Promise<KeptVersion | null> {
    const at = join(folder, version);
    try {
      const { runId, contractSha256 } = sealSchema.parse(JSON.parse(await readFile(join(at, sealFile), 'utf8')));
      const contractFile = join(at, contractArtifact);
      const json = await readFile(contractFile);
      if (sha256(json) !== contractSha256) return null;
      const contract = checkRegisteredContract(json, { name: modelName, version, runId });
      if (contract.onnx) checkOnnx(contract, await readFile(join(at, contract.onnx.file)));
      return { runId, contract, contractFile };
    } catch {
      return null;
    }
  }

  async function prune(roles: KeptRoles): Promise<void> {
    const inUse = new Set(Object.values(roles));
    const found = await readdir(folder);
    const besides = found.filter((name) => number.safeParse(name).success && !inUse.has(name));
    besides.sort((a, b) => (BigInt(a) < BigInt(b) ? 1 : -1));
    for (const version of besides.slice(keptBesides)) await rm(join(folder, version), { recursive: true, force: true });
    for (const name of found.filter((one) => one.startsWith('.new-'))) {
      const { mtimeMs } = await stat(join(folder, name));
      if (Date.now() - mtimeMs > abandonedAfterMs) await rm(join(folder, name), { recursive: true, force: true });
    }
  }

  return {
    folder,
    read,

    async roles() {
      try {
        return rolesSchema.parse(JSON.parse(await readFile(join(folder, rolesFile), 'utf8')));
      } catch {
        return noRoles;
      }
    },

    async keep({ version, runId, json, contract, onnx }) {
      await mkdir(folder, { recursive: true });
      const fresh = await mkdtemp(join(folder, '.new-'));
      try {
        await writeFile(join(fresh, contractArtifact), json);
        if (contract.onnx && onnx) await writeFile(join(fresh, contract.onnx.file), onnx);
        await writeFile(join(fresh, sealFile), JSON.stringify({ runId, contractSha256: sha256(json) }));
        const place = join(folder, version);
        await rm(place, { recursive: true, force: true });
        await rename(fresh, place);
        return await read(version);
      } finally {
        await rm(fresh, { recursive: true, force: true });
      }
    },

    async keepRoles(roles) {
      await mkdir(folder, { recursive: true });
      const fresh = await mkdtemp(join(folder, '.new-'));
      await writeFile(join(fresh, rolesFile), JSON.stringify(roles));
      await rename(join(fresh, rolesFile), join(folder, rolesFile));
      await rm(fresh, { recursive: true, force: true });
      await prune(roles);
    },
  };
}

import { type Contract, ContractError } from '../contract/contract.ts';
import type { Logger } from '../logger.ts';
import { chooseVersions } from './choose-versions.ts';
import { createFetchVersion, fromKept, type KnownVersion } from './fetch-version.ts';
import { type KeptRoles, type KeptVersions, noRoles } from './kept-versions.ts';
import type { ModelVersions } from './model-versions.ts';
import type { ListedVersion, RegisteredVersion, RegistryClient } from './registry-client.ts';
import { RegistryFault } from './registry-http.ts';
import { UnusableVersion } from './registered-contract.ts';

/** What came of the registry's versions. Reasons have no word of the registry's own. */
export interface RegistryVersionsState {
  /** Numbers of the versions whose contract is known, the live one first. */
  known: string[];
  /** Versions that should be known and are not, and why; `version` is null for the list of versions itself. */
  unusable: { version: string | null; reason: string }[];
}

export interface RegistryVersions extends ModelVersions {
  /** Takes over what is kept on this machine. */
  load(): Promise<void>;
  /**
   * Learns the versions that go with this live one. Never throws, and never forgets a version for a fault.
   * @param proved the version that calls prove at the moment: it stays known. null: not known yet.
   */
  follow(live: RegisteredVersion, proved: () => Contract | null): Promise<void>;
  state(): RegistryVersionsState;
  /** Ends what is under way; the client is closed before. */
  close(): Promise<void>;
}

interface RegistryVersionsOptions {
  client: Pick<RegistryClient, 'readVersions' | 'readArtifact'>;
  kept: KeptVersions;
  modelName: string;
  logger: Logger;
  /** Time between two looks at the registry. */
  everyMs: number;
}

interface Fault {
  runId: string | null;
  reason: string;
  waitMs: number;
  retryAt: number;
}

const maxKnown = 3;
/** A version that cannot be used is asked for after one look's time, then after twice that, and so on up to this many. */
const maxWaitLooks = 20;

/** The live, the previous and the candidate version, from their runs' artifacts. */
export function createRegistryVersions(options: RegistryVersionsOptions): RegistryVersions {
  const { client, kept, logger, everyMs } = options;
  const fetchVersion = createFetchVersion(options);
  let roles: KeptRoles = noRoles;
  /** Live first. */
  let known: KnownVersion[] = [];
  const faults = new Map<string, Fault>();
  let listFault: string | null = null;
  let said = '';
  let following: Promise<void> | undefined;
  let isClosed = false;

  const find = (version: string | null) => known.find((one) => versionOf(one) === version);
  const usable = (version: string | null) => (find(version) ? version : null);

  async function list(live: RegisteredVersion): Promise<ListedVersion[]> {
    let listed: ListedVersion[] = known.map((one) => ({
      version: versionOf(one),
      runId: one.runId,
      isInStaging: false,
    }));
    try {
      listed = await client.readVersions();
      listFault = null;
    } catch (error) {
      listFault = reasonOf(error);
    }
    return [{ ...live, isInStaging: false }, ...listed.filter(({ version }) => version !== live.version)];
  }

  /** The version, when it can be used; a fault is remembered, and only tried again when its time has come. */
  async function learn(one: ListedVersion): Promise<KnownVersion | undefined> {
    const { version, runId } = one;
    const before = find(version);
    if (before?.runId === runId) {
      faults.delete(version);
      return before;
    }
    const fault = faults.get(version);
    const isSameFault = fault?.runId === runId;
    if (isSameFault && performance.now() < fault.retryAt) return before;
    try {
      const learned = await fetchVersion(one);
      faults.delete(version);
      return learned;
    } catch (error) {
      const waitMs = isSameFault ? Math.min(2 * fault.waitMs, maxWaitLooks * everyMs) : everyMs;
      faults.set(version, { runId, reason: reasonOf(error), waitMs, retryAt: performance.now() + waitMs });
      return before;
    }
  }

  /** What is found takes the place of what was known; where something wanted is not found, nothing is given up for it. */
  function settle(wanted: readonly string[], found: ReadonlyMap<string, KnownVersion>, answering: string | null) {
    const chosen = wanted.flatMap((version) => found.get(version) ?? []);
    for (const one of known) {
      const version = versionOf(one);
      const isMissed = found.size < wanted.length && chosen.length < maxKnown;
      if (!found.has(version) && (version === answering || isMissed)) chosen.push(one);
    }
    const isSame = chosen.length === known.length && chosen.every((one, i) => one === known[i]);
    if (chosen.length > 0 && !isSame) known = chosen;
  }

  async function update(live: RegisteredVersion, proved: () => Contract | null): Promise<void> {
    const listed = await list(live);
    if (isClosed) return;
    const before = { ...roles, live: usable(roles.live), previous: usable(roles.previous) };
    const next = chooseVersions(live.version, listed, before);
    const wanted = [next.live, next.previous, next.candidate].filter((version) => version !== null);
    for (const version of faults.keys()) if (!wanted.includes(version)) faults.delete(version);
    const answering = proved()?.model.version ?? roles.answering;
    const found = new Map<string, KnownVersion>();
    for (const version of wanted) {
      const one = listed.find((entry) => entry.version === version);
      const learned = one ? await learn(one) : find(version);
      if (isClosed) return;
      if (learned) found.set(version, learned);
      settle(wanted, found, answering);
    }
    const isNew = JSON.stringify(roles) !== JSON.stringify({ ...next, answering });
    roles = { ...next, answering };
    if (isNew)
      await kept.keepRoles(roles).catch((error: unknown) => {
        logger.warn({ err: error }, 'which model versions are live cannot be kept on disk');
      });
    logChange();
  }

  const state = (): RegistryVersionsState => ({
    known: known.map(versionOf),
    unusable: [
      ...(listFault === null ? [] : [{ version: null, reason: listFault }]),
      ...[...faults].map(([version, { reason }]) => ({ version, reason })),
    ],
  });

  function logChange() {
    const now = state();
    if (JSON.stringify(now) === said) return;
    said = JSON.stringify(now);
    logger[now.unusable.length > 0 ? 'warn' : 'info'](now, 'model versions');
  }

  let contracts: readonly Contract[] = [];
  let contractsOf: KnownVersion[] | undefined;

  return {
    contracts() {
      if (contractsOf !== known) [contracts, contractsOf] = [known.map(({ contract }) => contract), known];
      return contracts;
    },
    onnxOf(contract) {
      const found = known.find((one) => one.contract === contract);
      if (!found) throw new ContractError(`version ${contract.model.version} is not known any more`);
      return found.onnx();
    },
    async load() {
      roles = await kept.roles();
      for (const version of new Set([roles.live, roles.previous, roles.candidate, roles.answering])) {
        const one = version === null ? null : await kept.read(version);
        if (one) known = [...known, fromKept(one)];
      }
    },
    follow(live, proved) {
      following ??= update(live, proved).finally(() => (following = undefined));
      return following;
    },
    state,
    async close() {
      isClosed = true;
      await following;
    },
  };
}

const versionOf = ({ contract }: KnownVersion) => contract.model.version as string;

function reasonOf(error: unknown): string {
  if (error instanceof UnusableVersion || error instanceof RegistryFault) return error.message;
  return 'it cannot be taken over here, for a reason that nobody thought of';
}

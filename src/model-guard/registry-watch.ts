import type { Contract } from '../contract/contract.ts';
import type { Logger } from '../logger.ts';
import type { GuardState } from './model-guard.ts';
import { judgePromotion, type Promotion } from './promotion.ts';
import type { RegisteredVersion, RegistryClient, RegistryReading } from './registry-client.ts';
import type { RegistryVersionsState } from './registry-versions.ts';

export interface RegistryState {
  /** `unread`: not looked at yet. */
  status: RegistryReading['outcome'] | 'unread';
  /** When this status began. */
  since: Date;
  lastReadAt: Date | null;
  /** The last fault, or why no version is live. */
  reason: string | null;
  /** The version it named live when it was last read, and since when this service has seen it named. */
  live: (RegisteredVersion & { since: Date }) | null;
  promotion: Promotion;
  /** What came of the versions' contracts; null: contracts come from files. */
  versions: RegistryVersionsState | null;
}

export interface RegistryWatch {
  /** Looks at once, and then again and again; nobody has to wait for it. */
  start(): void;
  state(): RegistryState;
  close(): void;
}

interface RegistryWatchOptions {
  client: RegistryClient;
  /** Takes the versions' contracts from the registry; null: it only explains. */
  versions: {
    follow(live: RegisteredVersion, proved: () => Contract | null): Promise<void>;
    state(): RegistryVersionsState;
  } | null;
  /** The version that calls are scaled for: the one proved last. */
  expected(): Contract;
  guardState(): GuardState;
  logger: Logger;
  everyMs?: number | undefined;
}

/** Time between two looks, when nothing is said. */
export const registryEveryMs = 15_000;
/** A new look is thought of so often. */
const tickMs = 1_000;
/** Each wait differs by up to a fifth, so that many instances do not ask together. */
const jitter = () => 0.8 + 0.4 * Math.random();

/**
 * Watches which version the registry names live: whatever the registry does, or says, no label is refused for it. A
 * registry that is away does not make a promotion live, so its last word is kept meanwhile. When the model server begins
 * to answer as a model that is not known, the registry is asked at once: it may know that one.
 */
export function createRegistryWatch(options: RegistryWatchOptions): RegistryWatch {
  const { client, versions, expected, guardState, logger, everyMs = registryEveryMs } = options;
  const expectedVersion = () => expected().model.version;
  const proved = () => (guardState().lastProvedAt === null ? null : expected());
  let known: Known = {
    status: 'unread',
    since: new Date(),
    lastReadAt: null,
    reason: null,
    live: null,
  };
  let logged = '';
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;
  let isLooking = false;
  let lookedAt = new Date(0);
  let nextAt = 0;

  const state = (): RegistryState => ({
    ...known,
    promotion: judgePromotion({ live: known.live, contractVersion: expectedVersion(), guard: guardState() }),
    versions: versions?.state() ?? null,
  });

  async function look() {
    isLooking = true;
    lookedAt = new Date();
    const reading = await client.readLive();
    if (isClosed) return;
    known = remember(known, reading);
    logChange();
    if (known.status === 'up' && known.live) void versions?.follow(known.live, proved);
    nextAt = performance.now() + everyMs * jitter();
    isLooking = false;
  }

  function lookWhenDue() {
    const { status, since } = guardState();
    const isNewModel = versions !== null && status === 'untrusted' && since >= lookedAt;
    if (!isLooking && (isNewModel || performance.now() >= nextAt)) void look();
  }

  function logChange() {
    const now = state();
    const said = [now.status, now.live?.version, now.promotion.state].join(' ');
    if (said === logged) return;
    logged = said;
    logger[isConcern(now) ? 'warn' : 'info'](
      {
        registry: now.status,
        registryVersion: now.live?.version ?? null,
        contractVersion: expectedVersion(),
        promotion: now.promotion.state,
        reason: now.reason ?? now.promotion.reason,
      },
      'model registry',
    );
  }

  return {
    start() {
      if (isClosed) return;
      lookWhenDue();
      timer = setInterval(lookWhenDue, Math.min(tickMs, everyMs)).unref();
    },
    state,
    close() {
      isClosed = true;
      clearInterval(timer);
      client.close();
    },
  };
}

/**
 * Whether people should be warned: the registry cannot be read, names nothing, what it names is not live, or the contract
 * of a version cannot be used.
 */
export function isConcern({ status, live, promotion, versions }: RegistryState): boolean {
  if (versions && versions.unusable.length > 0) return true;
  if (status === 'unread') return false;
  return status !== 'up' || live === null || promotion.state === 'not_live';
}

type Known = Omit<RegistryState, 'promotion' | 'versions'>;

function remember(before: Known, reading: RegistryReading): Known {
  const now = new Date();
  const since = reading.outcome === before.status ? before.since : now;
  if (reading.outcome !== 'up') return { ...before, status: reading.outcome, since, reason: reading.reason };
  const isSame = reading.live !== null && reading.live.version === before.live?.version;
  const live = reading.live && { ...reading.live, since: isSame ? (before.live as { since: Date }).since : now };
  return { status: 'up', since, lastReadAt: now, reason: reading.reason, live };
}

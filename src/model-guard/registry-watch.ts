import type { Logger } from '../logger.ts';
import type { GuardState } from './model-guard.ts';
import { judgePromotion, type Promotion } from './promotion.ts';
import type { RegisteredVersion, RegistryClient, RegistryReading } from './registry-client.ts';

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
}

export interface RegistryWatch {
  /** Looks at once, and then again and again; nobody has to wait for it. */
  start(): void;
  state(): RegistryState;
  close(): void;
}

interface RegistryWatchOptions {
  client: RegistryClient;
  /** The version that calls are scaled for: the one proved last. */
  expectedVersion(): string | null;
  guardState(): GuardState;
  logger: Logger;
  everyMs?: number | undefined;
}

const defaultEveryMs = 15_000;
/** Each wait differs by up to a fifth, so that many instances do not ask together. */
const jitter = () => 0.8 + 0.4 * Math.random();

/**
 * Watches which version the registry names live. It only explains: whatever the registry does, or says, no label is
 * refused for it. A registry that is away does not make a promotion live, so its last word is kept meanwhile.
 */
export function createRegistryWatch(options: RegistryWatchOptions): RegistryWatch {
  const { client, expectedVersion, guardState, logger, everyMs = defaultEveryMs } = options;
  let known: Omit<RegistryState, 'promotion'> = {
    status: 'unread',
    since: new Date(),
    lastReadAt: null,
    reason: null,
    live: null,
  };
  let logged = '';
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;

  const state = (): RegistryState => ({
    ...known,
    promotion: judgePromotion({ live: known.live, contractVersion: expectedVersion(), guard: guardState() }),
  });

  async function look() {
    const reading = await client.readLive();
    if (isClosed) return;
    known = remember(known, reading);
    logChange();
    timer = setTimeout(() => void look(), everyMs * jitter()).unref();
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
      if (!isClosed) void look();
    },
    state,
    close() {
      isClosed = true;
      clearTimeout(timer);
      client.close();
    },
  };
}

/** Whether people should be warned: the registry cannot be read, names nothing, or what it names is not live. */
export function isConcern({ status, live, promotion }: RegistryState): boolean {
  if (status === 'unread') return false;
  return status !== 'up' || live === null || promotion.state === 'not_live';
}

type Known = Omit<RegistryState, 'promotion'>;

function remember(before: Known, reading: RegistryReading): Known {
  const now = new Date();
  const since = reading.outcome === before.status ? before.since : now;
  if (reading.outcome !== 'up') return { ...before, status: reading.outcome, since, reason: reading.reason };
  const isSame = reading.live !== null && reading.live.version === before.live?.version;
  const live = reading.live && { ...reading.live, since: isSame ? (before.live as { since: Date }).since : now };
  return { status: 'up', since, lastReadAt: now, reason: reading.reason, live };
}

import type { GuardState } from '../model-guard/model-guard.ts';

export type Phase = 'starting' | 'running' | 'stopping';

export interface Readiness {
  overall: 'pass' | 'warn' | 'fail';
  checks: {
    service: { state: Phase };
    database: { state: 'up' | 'away' };
    modelServer: {
      state: GuardState['status'];
      /** Proved to answer. */
      version: string | null;
      since: string;
      lastProvedAt: string | null;
      reason: string | null;
      cannotTell: string[];
    };
  };
}

interface ReadinessOptions {
  phase(): Phase;
  pingDatabase(): Promise<void>;
  guardState(): GuardState;
}

const pingTimeoutMs = 2_000;
/** While PGlite opens, a monitor is answered at once. */
const pingTimeoutStartingMs = 200;
const pingAgeMs = 1_000;

/**
 * Says whether the service should get requests. Monitors judge the body by one word, so the words of `overall` stand
 * nowhere else in it. The model server away only warns: stored labels are still served.
 */
export function createReadiness({ phase, pingDatabase, guardState }: ReadinessOptions): () => Promise<Readiness> {
  let lastPing: { at: number; up: Promise<boolean> } | undefined;

  function isDatabaseUp(timeoutMs: number): Promise<boolean> {
    if (lastPing === undefined || Date.now() - lastPing.at > pingAgeMs)
      lastPing = { at: Date.now(), up: within(timeoutMs, pingDatabase()) };
    return lastPing.up;
  }

  return async () => {
    const service = phase();
    const up =
      service === 'stopping'
        ? false
        : await isDatabaseUp(service === 'starting' ? pingTimeoutStartingMs : pingTimeoutMs);
    const { status, version, since, lastProvedAt, reason, cannotTell } = guardState();
    const fails = service !== 'running' || !up;
    return {
      overall: fails ? 'fail' : status === 'proved' && cannotTell.length === 0 ? 'pass' : 'warn',
      checks: {
        service: { state: service },
        database: { state: up ? 'up' : 'away' },
        modelServer: {
          state: status,
          version,
          since: since.toISOString(),
          lastProvedAt: lastProvedAt?.toISOString() ?? null,
          reason,
          cannotTell,
        },
      },
    };
  };
}

async function within(timeoutMs: number, work: Promise<void>): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), timeoutMs);
  const done = work.then(
    () => true,
    () => false,
  );
  return Promise.race([done, late]).finally(() => clearTimeout(timer));
}

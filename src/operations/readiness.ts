import type { GuardState } from '../model-guard/model-guard.ts';
import { isConcern, type RegistryState } from '../model-guard/registry-watch.ts';
import { describeRegistry, type RegistryCheck } from './registry-check.ts';

export type Phase = 'starting' | 'running' | 'stopping';

export interface Readiness {
  overall: 'pass' | 'warn' | 'fail';
  checks: {
    service: { state: Phase };
    database: { state: 'up' | 'away' };
    modelServer: { state: GuardState['status']; since: string; lastProvedAt: string | null; reason: string | null };
    registry: RegistryCheck;
  };
}

interface ReadinessOptions {
  phase(): Phase;
  pingDatabase(): Promise<void>;
  guardState(): GuardState;
  /** null: no registry is set. */
  registryState(): RegistryState | null;
}

const pingTimeoutMs = 2_000;
/** While PGlite opens, a monitor is answered at once. */
const pingTimeoutStartingMs = 200;
const pingAgeMs = 1_000;

/**
 * Says whether the service should get requests. Monitors judge the body by one word, so the words of `overall` stand
 * nowhere else in it. The model server away only warns: stored labels are still served.
 */
export function createReadiness(options: ReadinessOptions): () => Promise<Readiness> {
  const { phase, pingDatabase, guardState, registryState } = options;
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
    const { status, since, lastProvedAt, reason } = guardState();
    const registry = registryState();
    const warns = status !== 'proved' || (registry !== null && isConcern(registry));
    const fails = service !== 'running' || !up;
    return {
      overall: fails ? 'fail' : warns ? 'warn' : 'pass',
      checks: {
        service: { state: service },
        database: { state: up ? 'up' : 'away' },
        modelServer: {
          state: status,
          since: since.toISOString(),
          lastProvedAt: lastProvedAt?.toISOString() ?? null,
          reason,
        },
        registry: describeRegistry(registry),
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

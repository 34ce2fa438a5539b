import type { GuardState } from '../model-guard/model-guard.ts';
import { isConcern, type RegistryState } from '../model-guard/registry-watch.ts';
import type { Outage } from '../model-server/outage-breaker.ts';
import { describeRegistry, type RegistryCheck } from './registry-check.ts';

export type Phase = 'starting' | 'running' | 'stopping';

export interface Readiness {
  overall: 'pass' | 'warn' | 'fail';
  checks: {
    service: { state: Phase };
    database: { state: 'up' | 'away' };
    modelServer: ModelServerCheck;
    registry: RegistryCheck;
  };
}

/** What is known of the model server. */
export type ModelServerState = GuardState & { outage: Outage | null; fallback: Fallback };

/** Whether the copy of the version proved last labels in an outage; `no_copy`: it should, and there is none. */
export type Fallback = 'off' | 'ready' | 'no_copy';

/** The same as people are shown it. */
export interface ModelServerCheck {
  state: GuardState['status'];
  /** Proved to answer. */
  version: string | null;
  since: string;
  lastProvedAt: string | null;
  reason: string | null;
  cannotTell: string[];
  outage: { since: string; reason: string } | null;
  fallback: Fallback;
}

interface ReadinessOptions {
  phase(): Phase;
  pingDatabase(): Promise<void>;
  modelServer(): ModelServerState;
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
  const { phase, pingDatabase, modelServer, registryState } = options;
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
    const model = modelServer();
    const registry = registryState();
    const fails = service !== 'running' || !up;
    const isProved = model.status === 'proved' && model.outage === null && model.cannotTell.length === 0;
    const lacksCopy = model.fallback === 'no_copy';
    const isWell = isProved && !lacksCopy && (registry === null || !isConcern(registry));
    return {
      overall: fails ? 'fail' : isWell ? 'pass' : 'warn',
      checks: {
        service: { state: service },
        database: { state: up ? 'up' : 'away' },
        modelServer: describeModelServer(model),
        registry: describeRegistry(registry),
      },
    };
  };
}

export function describeModelServer({
  status,
  version,
  since,
  lastProvedAt,
  reason,
  cannotTell,
  outage,
  fallback,
}: ModelServerState): ModelServerCheck {
  return {
    state: status,
    version,
    since: since.toISOString(),
    lastProvedAt: lastProvedAt?.toISOString() ?? null,
    reason,
    cannotTell,
    outage: outage && {
      since: outage.since.toISOString(),
      reason: `${outage.reason}; no customer is sent there until it answers golden rows${meanwhile[fallback]}`,
    },
    fallback,
  };
}

const meanwhile: Record<Fallback, string> = {
  off: '',
  ready: ', and the embedded copy of the version proved last labels them',
  no_copy: ', and there is no copy of the version proved last that could label them',
};

async function within(timeoutMs: number, work: Promise<void>): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), timeoutMs);
  const done = work.then(
    () => true,
    () => false,
  );
  return Promise.race([done, late]).finally(() => clearTimeout(timer));
}

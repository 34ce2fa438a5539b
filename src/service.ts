import { setTimeout as sleep } from 'node:timers/promises';
import type { Express } from 'express';
import packageJson from '../package.json' with { type: 'json' };
import { createApiKeyStore } from './access/api-key-store.ts';
import { type ApiKeys, createApiKeys } from './access/api-keys.ts';
import { type Authenticator, byApiKey, createAuthorize, trustEverybody } from './access/authorize.ts';
import { createKeyRoutes } from './access/key-routes.ts';
import type { Contract } from './contract/contract.ts';
import { createBatches } from './batches/batches.ts';
import { createDatabase, type Database } from './database/database.ts';
import { startEmbeddedModelServer } from './embedded-model-server/embedded-model-server.ts';
import { ServiceError, toServiceError } from './errors.ts';
import { createApp } from './http/app.ts';
import { createServer } from './http/http-server.ts';
import type { Route } from './http/route.ts';
import { createContractStore } from './labels/contract-store.ts';
import { createFindLabel } from './labels/find-label.ts';
import { createInvocationRoutes } from './labels/invocation-routes.ts';
import { createLabelCustomers } from './labels/label-customers.ts';
import { createLabelQueryRoutes } from './labels/label-query-routes.ts';
import { createLabelQueryStore } from './labels/label-query-store.ts';
import { createLabelRoutes } from './labels/label-routes.ts';
import { createLabelStore, type LabelStore } from './labels/label-store.ts';
import { createRelabelFallback } from './labels/relabel-fallback.ts';
import { createListLabels } from './labels/list-labels.ts';
import type { FreshnessRule } from './labels/label-view.ts';
import { createLogger, type Logger } from './logger.ts';
import { createModelCopies } from './model-copy/model-copies.ts';
import { createModelGuard, type ModelGuard, watchModel } from './model-guard/model-guard.ts';
import type { ModelVersions } from './model-guard/model-versions.ts';
import { openModelVersions } from './model-guard/open-model-versions.ts';
import { createRegistryWatch, registryEveryMs } from './model-guard/registry-watch.ts';
import { createModelServerClient, type ModelServerAddress, remoteAddress } from './model-server/model-server-client.ts';
import { createOutageBreaker } from './model-server/outage-breaker.ts';
import { createRetries } from './model-server/retries.ts';
import { createDocsPages } from './operations/docs-routes.ts';
import { createMetrics } from './operations/metrics.ts';
import { createOpenApiRoute } from './operations/openapi.ts';
import { createOperationsRoutes } from './operations/operations-routes.ts';
import { createReadiness, type Fallback, type Phase } from './operations/readiness.ts';
import type { Settings } from './settings.ts';

export interface Service extends AsyncDisposable {
  app: Express;
  routes: readonly Route[];
  /** Of the version that calls are scaled for now. */
  readonly contract: Contract;
  keys: ApiKeys;
  /**
   * Listens, brings the database up to date and proves the model. A database that is away is waited for; a model
   * server that is away is not.
   * @returns the address.
   */
  start(): Promise<string>;
}

/** Parts that a test, or the command line, may bring itself. */
export interface Overrides {
  logger?: Logger;
  /** The one that should be live first. */
  contracts?: readonly Contract[];
  modelServer?: ModelServerAddress;
  /** Instead of the settings' way in. */
  authenticate?: Authenticator;
  /** Time between two looks at the registry. */
  registryEveryMs?: number;
  /** A measurement of what they cost may leave them out. */
  goldenRowsPerCall?: number;
}

const databaseRetryMs = 1_000;
/** Lists give way to single customers while one asked so lately. */
const busyMs = 500;

/** THE composition root: every part is made here, once, and released in reverse. */
export async function createService(settings: Settings, overrides: Overrides = {}): Promise<Service> {
  await using parts = new AsyncDisposableStack();
  let phase: Phase = 'starting';

  const logger = overrides.logger ?? createLogger({ level: settings.logLevel });
  const { contracts, registryEveryMs: everyMs = registryEveryMs } = overrides;
  const { versions, registryClient, registryVersions } = await openModelVersions({
    settings,
    contracts,
    logger,
    everyMs,
  });
  parts.defer(async () => {
    registryClient?.close();
    await registryVersions?.close();
  });
  const database = createDatabase({ settings: settings.database, logger });
  parts.defer(() => database.close());
  // Opening PGlite takes as long as loading the forest: both at once. A fault shows again when start() migrates.
  database.ping().catch(() => {});

  const remote = overrides.modelServer ?? (settings.modelServer.remote && remoteAddress(settings.modelServer.remote));
  const source = remote ? 'model-server' : 'embedded';
  const address = remote ?? (await startEmbedded(versions, parts));
  const { timeoutMs } = settings.modelServer;
  const retries = createRetries({ mayRetry: () => breaker.outage() === null, onRetry: () => metrics.callRetried() });
  const client = createModelServerClient({ address, timeoutMs, retries });
  parts.defer(() => client.close());
  const copies = createModelCopies({ onnxOf: versions.onnxOf, logger });
  const guard = createModelGuard({
    contracts: versions.contracts,
    client,
    logger,
    goldenRowsPerCall: overrides.goldenRowsPerCall,
  });
  const breaker = createOutageBreaker({ probe: (limitMs) => guard.prove({ timeoutMs: limitMs }), timeoutMs, logger });
  parts.defer(() => breaker.close());
  const { maxLabelAgeMs } = settings;
  const freshness = (): FreshnessRule => ({
    liveVersion: guard.lastProved()?.model.version ?? null,
    confirmedSince: maxLabelAgeMs === null ? null : new Date(Date.now() - maxLabelAgeMs),
  });
  const registryWatch =
    registryClient &&
    createRegistryWatch({
      client: registryClient,
      versions: registryVersions,
      expected: guard.expected,
      guardState: guard.state,
      logger,
      everyMs,
    });
  parts.defer(() => registryWatch?.close());
  const registryState = () => registryWatch?.state() ?? null;

  const metrics = createMetrics({
    version: packageJson.version,
    waitingRows: () => labelCustomers.waiting(),
    guardState: guard.state,
    outage: breaker.outage,
    registryState,
    openLists: () => batches.countOpen(),
  });
  const contractStore = createContractStore(database.queries);
  const labels = createLabelStore(database.queries);
  const labelCustomers = createLabelCustomers({
    guard,
    breaker,
    labels,
    contracts: contractStore,
    copies,
    source,
    limits: settings.modelServer,
    hasFallback: settings.hasFallback,
    onFallback: () => relabelling.owed(),
    onBatch: metrics.batchScored,
    onRefused: metrics.refusedInOutage,
    onDisagreement: metrics.copyDisagreed,
    onLabelled: metrics.labelled,
  });
  parts.defer(() => labelCustomers.close());
  const labelQueries = createLabelQueryStore(database.queries);
  const isProved = () => guard.state().status === 'proved' && breaker.outage() === null;
  const relabelling = createRelabelFallback({ labels: labelQueries, labelCustomers, isProved, logger });
  parts.defer(() => relabelling.close());

  const fallbackState = (): Fallback => {
    if (!settings.hasFallback) return 'off';
    return copies.of(guard.expected()) ? 'ready' : 'no_copy';
  };
  const stopping = new AbortController();
  const batches = createBatches({
    database,
    logger,
    guard,
    breaker,
    copies,
    isProved,
    listLabels: createListLabels({ labels, labelQueries, contracts: contractStore, freshness }),
    source,
    timeoutMs,
    isBusy: () => labelCustomers.wasAskedWithin(busyMs),
    concurrency: settings.modelServer.concurrency,
    limits: settings.lists,
    onBatch: metrics.batchScored,
    onDisagreement: metrics.copyDisagreed,
    onLabelled: metrics.labelled,
    onRows: metrics.listRowsDone,
  });
  parts.defer(() => batches.close());

  const findLabel = createFindLabel({ labels, limits: settings.modelServer });
  const keys = createApiKeys(createApiKeyStore(database.queries));
  const modelServer = () => ({ ...guard.state(), outage: breaker.outage(), fallback: fallbackState() });
  const readiness = createReadiness({ phase: () => phase, pingDatabase: database.ping, modelServer, registryState });
  const routes: Route[] = [
    ...createLabelRoutes({ contract: guard.expected, labelCustomers, findLabel, contracts: contractStore, freshness }),
    ...createLabelQueryRoutes({
      contract: guard.expected,
      labels: labelQueries,
      contracts: contractStore,
      freshness,
    }),
    ...batches.routes,
    ...createInvocationRoutes({ contract: guard.expected, labelCustomers }),
    ...createKeyRoutes({ keys }),
    ...createOperationsRoutes({ guard, readiness, metrics, modelServer, registryState, source }),
  ];
  routes.push(createOpenApiRoute({ routes, contract: guard.expected, version: packageJson.version }));

  const app = createApp({
    routes,
    authorize: createAuthorize([
      overrides.authenticate ?? (settings.access === 'none' ? trustEverybody : byApiKey(keys)),
    ]),
    isOn: () => phase === 'running',
    pages: createDocsPages(),
    logger,
    observe: metrics.requestAnswered,
    corsOrigins: settings.http.corsOrigins,
    isHttps: settings.http.tls !== null,
    defaultLocale: settings.defaultLocale,
  });
  const server = createServer({ handler: app, ...settings.http });
  parts.defer(() => server.close());

  const owned = parts.move();
  return {
    app,
    routes,
    get contract() {
      return guard.expected();
    },
    keys,
    async start() {
      const url = await server.listen();
      await migrateWhenThere(database, logger, stopping.signal);
      for (const one of versions.contracts()) copies.of(one);
      await recallVersion(labels, guard);
      await guard.prove().catch((error: unknown) => {
        logger.warn({ err: toServiceError(error) }, 'the model is not proved yet');
      });
      // In an outage the breaker asks.
      const prove = async () => (breaker.outage() === null ? guard.prove() : undefined);
      owned.defer(watchModel({ state: guard.state, prove }));
      await batches.start();
      if (settings.hasFallback) relabelling.start();
      registryWatch?.start();
      if (phase === 'starting') phase = 'running';
      return url;
    },
    async [Symbol.asyncDispose]() {
      phase = 'stopping';
      stopping.abort();
      // Side by side: answers in flight and chunks in hand may each take most of the time there is
      await Promise.all([batches.stopWork(), owned.disposeAsync()]);
    },
  };
}

/** A restart amid an outage: stored labels say which version the model server was proved to be. */
async function recallVersion(labels: LabelStore, guard: ModelGuard) {
  const version = await labels.newestVersion();
  if (version !== null) guard.recall(version);
}

/** It goes on with this version, whatever is promoted later. */
async function startEmbedded(versions: ModelVersions, parts: AsyncDisposableStack) {
  const [contract] = versions.contracts() as [Contract];
  const featureNames = contract.features.map((feature) => feature.name);
  const embedded = await startEmbeddedModelServer({ onnx: versions.onnxOf(contract), featureNames });
  parts.defer(() => embedded.close());
  return embedded.address;
}

async function migrateWhenThere(database: Database, logger: Logger, stopped: AbortSignal): Promise<void> {
  while (!stopped.aborted) {
    try {
      return await database.migrate();
    } catch (error) {
      if (toServiceError(error).code !== 'database_unavailable') throw error;
      logger.warn({ err: error }, 'the database is away; trying again');
      await sleep(databaseRetryMs, undefined, { signal: stopped }).catch(() => {});
    }
  }
  throw new ServiceError('not_ready');
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { Express } from 'express';
import packageJson from '../package.json' with { type: 'json' };
import { createApiKeyStore } from './access/api-key-store.ts';
import { type ApiKeys, createApiKeys } from './access/api-keys.ts';
import { byApiKey, createAuthorize, trustEverybody } from './access/authorize.ts';
import { createKeyRoutes } from './access/key-routes.ts';
import { type Contract, readContracts, readOnnx } from './contract/contract.ts';
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
import { createLabelStore } from './labels/label-store.ts';
import type { FreshnessRule } from './labels/label-view.ts';
import { createLogger, type Logger } from './logger.ts';
import { createModelGuard, watchModel } from './model-guard/model-guard.ts';
import { createRegistryClient } from './model-guard/registry-client.ts';
import { createRegistryWatch } from './model-guard/registry-watch.ts';
import { createModelServerClient, type ModelServerAddress, remoteAddress } from './model-server/model-server-client.ts';
import { createOutageBreaker } from './model-server/outage-breaker.ts';
import { createRetries } from './model-server/retries.ts';
import { createDocsPages } from './operations/docs-routes.ts';
import { createMetrics } from './operations/metrics.ts';
import { createOpenApiRoute } from './operations/openapi.ts';
import { createOperationsRoutes } from './operations/operations-routes.ts';
import { createReadiness, type Phase } from './operations/readiness.ts';
import type { Settings } from './settings.ts';

export interface Service extends AsyncDisposable {
  app: Express;
  routes: readonly Route[];
  contract: Contract;
  keys: ApiKeys;
  /**
   * Listens, brings the database up to date and proves the model. A database that is away is waited for; a model
   * server that is away is not.
   * @returns the address.
   */
  start(): Promise<string>;
}

/** Parts that a test may bring itself. */
export interface Overrides {
  logger?: Logger;
  /** The one that should be live first. */
  contracts?: readonly Contract[];
  modelServer?: ModelServerAddress;
  /** Time between two looks at the registry. */
  registryEveryMs?: number;
}

const databaseRetryMs = 1_000;

/** THE composition root: every part is made here, once, and released in reverse. */
export async function createService(settings: Settings, overrides: Overrides = {}): Promise<Service> {
  await using parts = new AsyncDisposableStack();
  let phase: Phase = 'starting';

  const logger = overrides.logger ?? createLogger({ level: settings.logLevel });
  const contracts = overrides.contracts ?? readContracts(settings.contractFiles);
  const [contract] = contracts as [Contract];
  const database = createDatabase({ settings: settings.database, logger });
  parts.defer(() => database.close());
  // Opening PGlite takes as long as loading the forest: both at once. A fault shows again when start() migrates.
  database.ping().catch(() => {});

  const remote = overrides.modelServer ?? (settings.modelServer.remote && remoteAddress(settings.modelServer.remote));
  const source = remote ? 'model-server' : 'embedded';
  const address = remote ?? (await startEmbedded(contract, settings.contractFiles[0], parts));
  const { timeoutMs } = settings.modelServer;
  const retries = createRetries({ mayRetry: () => breaker.outage() === null, onRetry: () => metrics.callRetried() });
  const client = createModelServerClient({ address, timeoutMs, retries });
  parts.defer(() => client.close());
  const guard = createModelGuard({ contracts: () => contracts, client, logger });
  const breaker = createOutageBreaker({ probe: (limitMs) => guard.prove({ timeoutMs: limitMs }), timeoutMs, logger });
  parts.defer(() => breaker.close());
  const { maxLabelAgeMs } = settings;
  const freshness = (): FreshnessRule => ({
    liveVersion: guard.state().version,
    confirmedSince: maxLabelAgeMs === null ? null : new Date(Date.now() - maxLabelAgeMs),
  });
  const registryWatch =
    settings.registry &&
    createRegistryWatch({
      client: createRegistryClient({
        ...settings.registry,
        modelName: settings.registry.modelName ?? contract.model.name,
      }),
      expectedVersion: () => guard.expected().model.version,
      guardState: guard.state,
      logger,
      everyMs: overrides.registryEveryMs,
    });
  parts.defer(() => registryWatch?.close());
  const registryState = () => registryWatch?.state() ?? null;

  const metrics = createMetrics({
    version: packageJson.version,
    waitingRows: () => labelCustomers.waiting(),
    guardState: guard.state,
    outage: breaker.outage,
    registryState,
  });
  const contractStore = createContractStore(database.queries);
  const labels = createLabelStore(database.queries);
  const labelCustomers = createLabelCustomers({
    guard,
    breaker,
    labels,
    contracts: contractStore,
    source,
    limits: settings.modelServer,
    onBatch: metrics.batchScored,
    onRefused: metrics.refusedInOutage,
    onLabelled: metrics.labelled,
  });
  parts.defer(() => labelCustomers.close());

  const findLabel = createFindLabel({ labels, limits: settings.modelServer });
  const keys = createApiKeys(createApiKeyStore(database.queries));
  const modelServer = () => ({ ...guard.state(), outage: breaker.outage() });
  const readiness = createReadiness({ phase: () => phase, pingDatabase: database.ping, modelServer, registryState });
  const routes: Route[] = [
    ...createLabelRoutes({ contract, labelCustomers, findLabel, contracts: contractStore, freshness }),
    ...createLabelQueryRoutes({
      contract,
      labels: createLabelQueryStore(database.queries),
      contracts: contractStore,
      freshness,
    }),
    ...createInvocationRoutes({ contract, labelCustomers }),
    ...createKeyRoutes({ keys }),
    ...createOperationsRoutes({ guard, readiness, metrics, modelServer, registryState, source }),
  ];
  routes.push(createOpenApiRoute({ routes, version: packageJson.version }));

  const app = createApp({
    routes,
    authorize: createAuthorize([settings.access === 'none' ? trustEverybody : byApiKey(keys)]),
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

  const stopping = new AbortController();
  const owned = parts.move();
  return {
    app,
    routes,
    contract,
    keys,
    async start() {
      const url = await server.listen();
      await migrateWhenThere(database, logger, stopping.signal);
      await guard.prove().catch((error: unknown) => {
        logger.warn({ err: toServiceError(error) }, 'the model is not proved yet');
      });
      // In an outage the breaker asks.
      const prove = async () => (breaker.outage() === null ? guard.prove() : undefined);
      owned.defer(watchModel({ state: guard.state, prove }));
      registryWatch?.start();
      if (phase === 'starting') phase = 'running';
      return url;
    },
    async [Symbol.asyncDispose]() {
      phase = 'stopping';
      stopping.abort();
      await owned.disposeAsync();
    },
  };
}

async function startEmbedded(contract: Contract, contractFile: string, parts: AsyncDisposableStack) {
  const featureNames = contract.features.map((feature) => feature.name);
  const embedded = await startEmbeddedModelServer({ onnx: readOnnx(contract, contractFile), featureNames });
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

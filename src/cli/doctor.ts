import { statfs } from 'node:fs/promises';
import { isIP } from 'node:net';
import { connect } from 'node:tls';
import type { Contract } from '../contract/contract.ts';
import { createDatabase } from '../database/database.ts';
import { FolderInUseError } from '../database/folder-lock.ts';
import { startEmbeddedModelServer } from '../embedded-model-server/embedded-model-server.ts';
import type { ServiceError } from '../errors.ts';
import { describeFailure } from '../failure.ts';
import { createLogger } from '../logger.ts';
import { createModelGuard } from '../model-guard/model-guard.ts';
import type { ModelVersions } from '../model-guard/model-versions.ts';
import { describeUnusable, type OpenedVersions } from '../model-guard/open-model-versions.ts';
import { judgePromotion, promotionCure } from '../model-guard/promotion.ts';
import { createRegistryClient } from '../model-guard/registry-client.ts';
import {
  createModelServerClient,
  type ModelServerAddress,
  remoteAddress,
} from '../model-server/model-server-client.ts';
import { readSettings, type Settings } from '../settings.ts';
import { lookAtVersions } from './look-at-versions.ts';
import { cureOf } from './model-server-cure.ts';

interface Finding {
  /** `note` is worth knowing and breaks nothing. */
  state: 'ok' | 'note' | 'broken';
  text: string;
  cure?: string;
}

const ok = (text: string): Finding => ({ state: 'ok', text });
const note = (text: string, cure: string): Finding => ({ state: 'note', text, cure });
const broken = (text: string, cure?: string): Finding => ({
  state: 'broken',
  text,
  ...(cure !== undefined && { cure }),
});

const logger = createLogger({ level: 'silent' });
const selectorSettings = 'MODEL_NAME, and MODEL_STAGE or MODEL_ALIAS';
const dayMs = 86_400_000;
const minimumFreeBytes = 500 * 1024 * 1024;

/** Tries everything the service stands on. @returns whether all of it works. */
export async function runDoctor(environment: NodeJS.ProcessEnv, print: (line: string) => void): Promise<boolean> {
  let isWell = true;
  const report = async (name: string, find: () => Promise<Finding> | Finding) => {
    const found = await Promise.try(find).catch((error: unknown) => broken(describeFailure(error)));
    isWell &&= found.state !== 'broken';
    print(
      `${found.state.padEnd(7)} ${name.padEnd(13)} ${found.text}${found.cure ? `\n${' '.repeat(22)}→ ${found.cure}` : ''}`,
    );
    return found.state !== 'broken';
  };

  let settings: Settings | undefined;
  await report('settings', () => {
    settings = readSettings(environment);
    return ok('all understood');
  });
  if (!settings) return false;
  const known = settings;

  let opened: OpenedVersions | undefined;
  await report('contract', async () => {
    opened = await lookAtVersions(known);
    return describeVersions(opened);
  });
  await report('database', () => checkDatabase(known));
  if (opened) {
    const { versions } = opened;
    const [contract] = versions.contracts() as [Contract];
    let answering = contract;
    const isProved = await report('model server', () => checkModelServer(known, versions, (one) => (answering = one)));
    await report('registry', () => checkRegistry(known, answering, isProved));
    await report('clock', () => checkClock(known, contract));
  }
  await report('disk', () => checkDisk(known));
  return isWell;
}

function describeVersions({ versions, registryVersions }: OpenedVersions): Finding {
  const contracts = versions.contracts();
  const [{ model, features, labels }] = contracts as [Contract];
  const numbers = contracts.map((one) => one.model.version ?? 'not known').join(', ');
  const what = contracts.length === 1 ? 'version' : 'versions';
  const where = registryVersions ? ' from the registry' : '';
  const text = `${model.name}, ${what} ${numbers}${where}, ${features.length} features, ${labels.length} labels`;
  const unusable = registryVersions?.state().unusable ?? [];
  if (unusable.length === 0) return ok(text);
  return note(
    `${text}; ${unusable.map(describeUnusable).join('; ')}`,
    'Log contract.json, and the ONNX copy that it names, to the run of that version, below contract/, as scripts.training does.',
  );
}

async function checkDatabase({ database: { url, dataDir } }: Settings): Promise<Finding> {
  const database = createDatabase({ settings: { url, dataDir }, logger });
  try {
    await database.ping();
    return url === null
      ? note(
          `PGlite in ${dataDir}`,
          'It survives a crash, not a power cut. For production set DATABASE_URL to a PostgreSQL.',
        )
      : ok(`PostgreSQL at ${new URL(url).host}`);
  } catch (error) {
    if (error instanceof FolderInUseError) return ok('PGlite, in use by the running service');
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    return url === null
      ? broken(
          `PGlite cannot open ${dataDir}${code}`,
          'Check that the folder can be written, or choose another DATA_DIR.',
        )
      : broken(
          `no PostgreSQL at ${new URL(url).host}${code}`,
          'Check DATABASE_URL, that it runs, and that this host may connect.',
        );
  } finally {
    await database.close().catch(() => {});
  }
}

async function checkModelServer(
  settings: Settings,
  versions: ModelVersions,
  onProved: (contract: Contract) => void,
): Promise<Finding> {
  const { remote } = settings.modelServer;
  const contracts = versions.contracts();
  if (remote !== null) return proveModel(remoteAddress(remote), settings, contracts, onProved);
  const [contract] = contracts as [Contract];
  const embedded = await startEmbeddedModelServer({
    onnx: versions.onnxOf(contract),
    featureNames: contract.features.map((feature) => feature.name),
  });
  try {
    return await proveModel(embedded.address, settings, contracts, onProved);
  } finally {
    await embedded.close();
  }
}

async function proveModel(
  address: ModelServerAddress,
  settings: Settings,
  contracts: readonly Contract[],
  onProved: (contract: Contract) => void,
): Promise<Finding> {
  const client = createModelServerClient({ address, timeoutMs: settings.modelServer.timeoutMs });
  try {
    const startedAt = performance.now();
    const guard = createModelGuard({ contracts: () => contracts, client, logger });
    await guard.prove();
    onProved(guard.expected());
    const tookMs = Math.round(performance.now() - startedAt);
    const { model, goldenRows } = guard.expected();
    const answered = contracts.length === 1 ? '' : `version ${model.version} answers, `;
    const proved = `${answered}all ${goldenRows.length} golden rows right, ${tookMs} ms`;
    const { cannotTell } = guard.state();
    if (cannotTell.length > 0)
      return note(
        `${address.url}: ${proved}, but so are those of version ${cannotTell.join(', ')}`,
        'Labels are served, but their version is a guess. Register the newer one by scripts.training: it looks for rows on which the two differ.',
      );
    if (settings.modelServer.remote === null)
      return note(`embedded: ${proved}`, 'It runs the sample model. Set MODEL_SERVER_URL to label with your own.');
    return describeCertificate(await certificateDays(address), `${address.url}: ${proved}`);
  } catch (error) {
    const fault = error as ServiceError;
    return broken(`${address.url}: ${fault.message}`, cureOf(fault));
  } finally {
    client.close();
  }
}

function describeCertificate(days: number | null, proved: string): Finding {
  if (days === null)
    return note(proved, 'Customers go to it in clear text. Serve https and remove MODEL_SERVER_ALLOW_HTTP.');
  const text = `${proved}, certificate good for ${days} days`;
  return days < 30 ? note(text, 'Renew the certificate of the model server.') : ok(text);
}

/** Days until the model server's certificate ends; null over plain http. */
async function certificateDays({ url, ca, clientCertificate }: ModelServerAddress): Promise<number | null> {
  const { protocol, hostname, port } = new URL(url);
  if (protocol === 'http:') return null;
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const socket = connect(
    {
      host: hostname,
      port: Number(port || 443),
      ...(isIP(hostname) === 0 && { servername: hostname }),
      ca,
      ...clientCertificate,
      timeout: 5_000,
    },
    () => resolve(Math.floor((Date.parse(socket.getPeerCertificate().valid_to) - Date.now()) / dayMs)),
  );
  socket.once('error', reject);
  return promise.finally(() => socket.destroy());
}

async function checkRegistry(
  { registry, contractFiles }: Settings,
  { model }: Contract,
  isProved: boolean,
): Promise<Finding> {
  if (registry === null) return ok('not set (MLFLOW_TRACKING_URI)');
  const modelName = registry.modelName ?? model.name;
  const client = createRegistryClient({ ...registry, modelName });
  const reading = await client.readLive().finally(() => client.close());
  if (reading.outcome !== 'up')
    return note(reading.reason, 'Labels do not need it. Check MLFLOW_TRACKING_URI and MLFLOW_CA_FILE.');
  const { live } = reading;
  if (live === null) return note(`${modelName}: ${reading.reason}`, `Promote one, or set ${selectorSettings}.`);
  const guard = { status: isProved ? ('proved' as const) : ('unproved' as const), lastProvedAt: null };
  const { state, reason } = judgePromotion({ live, contractVersion: model.version, guard });
  const run = `run ${live.runId ?? 'not known'}, F1 ${live.f1?.toFixed(3) ?? 'not known'}`;
  if (state === 'live') return ok(`${modelName} version ${live.version} is live, and calls prove it; ${run}`);
  const cure =
    model.version === null
      ? 'Adopt it with --model-version, once you know it.'
      : promotionCure({ followsRegistry: contractFiles === null });
  return note(`${modelName}: ${reason}; ${run}`, cure);
}

async function checkClock({ database: { url, dataDir } }: Settings, { training }: Contract): Promise<Finding> {
  const trainedAt = typeof training?.['trainedAt'] === 'string' ? Date.parse(training['trainedAt']) : 0;
  if (Date.now() < trainedAt) return broken('this clock stands before the model was trained', 'Set the clock (NTP).');
  if (url === null) return ok('after the training of the model; no other clock to compare with');
  const database = createDatabase({ settings: { url, dataDir }, logger });
  try {
    const apartSeconds = Math.round(Math.abs((await database.now()).getTime() - Date.now()) / 1_000);
    return apartSeconds > 5
      ? note(`${apartSeconds} s apart from the database's`, 'Set both by NTP: labels are ordered by time.')
      : ok("agrees with the database's");
  } catch {
    return ok('nothing to compare with while the database is away');
  } finally {
    await database.close().catch(() => {});
  }
}

async function checkDisk({ database: { dataDir } }: Settings): Promise<Finding> {
  const { bavail, bsize } = await statfs(dataDir).catch(() => statfs('.'));
  const free = bavail * bsize;
  const text = `${(free / 1024 ** 3).toFixed(1)} GiB free`;
  return free < minimumFreeBytes ? broken(text, 'Make room: labels could not be stored.') : ok(text);
}

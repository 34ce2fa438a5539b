import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { bySecret } from '../../access/authorize.ts';
import { createDatabase } from '../../database/database.ts';
import { FolderInUseError } from '../../database/folder-lock.ts';
import type { Locale } from '../../locale.ts';
import { createLogger } from '../../logger.ts';
import { OperatorError } from '../../operator-error.ts';
import { createService } from '../../service.ts';
import { readSettings, type Settings } from '../../settings.ts';
import { DependencyDownError, InterruptedError } from './label-errors.ts';
import { textsIn } from './label-texts.ts';

interface InsideOptions {
  environment: NodeJS.ProcessEnv;
  locale: Locale;
  waitMs: number;
  signal: AbortSignal;
}

export interface InsideService extends AsyncDisposable {
  url: string;
  /** Known to this process only. */
  key: string;
}

const databaseRetryMs = 1_000;

/**
 * The service of these settings on a free port of this machine, silent, for whoever has the key and nobody else.
 * @throws DependencyDownError when the database is away longer than `waitMs`
 * @throws OperatorError when settings or contract cannot be used, or PGlite's folder is in use
 */
export async function startInsideService({ environment, ...options }: InsideOptions): Promise<InsideService> {
  const wanted = readSettings(environment);
  const { TLS_CERT_FILE: _certificate, TLS_KEY_FILE: _key, ...others } = environment;
  const settings = readSettings({ ...others, HOST: '127.0.0.1', PORT: '0', ACCESS: 'none' });
  await findDatabase(settings, options);
  const key = randomBytes(32).toString('base64url');
  const logger = createLogger({ level: 'silent' });
  const service = await createService(settings, { logger, authenticate: bySecret(key) });
  try {
    const url = await service.start();
    return { url, key, [Symbol.asyncDispose]: () => service[Symbol.asyncDispose]() };
  } catch (error) {
    await service[Symbol.asyncDispose]();
    if (!(error instanceof FolderInUseError)) throw error;
    const { host, port, tls } = wanted.http;
    const running = `http${tls ? 's' : ''}://${host}:${port}`;
    throw new OperatorError(textsIn(options.locale).folderInUse(error.message, running), { cause: error });
  }
}

/** The service would wait for its database for ever. */
async function findDatabase({ database: { url, dataDir } }: Settings, options: Omit<InsideOptions, 'environment'>) {
  if (url === null) return;
  const { locale, waitMs, signal } = options;
  const database = createDatabase({ settings: { url, dataDir }, logger: createLogger({ level: 'silent' }) });
  const until = performance.now() + waitMs;
  try {
    for (;;) {
      const fault = await database.ping().then(
        () => null,
        (error: unknown) => ({ error }),
      );
      if (fault === null) return;
      if (performance.now() > until) {
        const code = (fault.error as NodeJS.ErrnoException).code ?? 'no answer';
        throw new DependencyDownError(textsIn(locale).databaseAway(new URL(url).host, code), { cause: fault.error });
      }
      await sleep(databaseRetryMs, undefined, { signal }).catch(() => {
        throw new InterruptedError(textsIn(locale).interrupted);
      });
    }
  } finally {
    await database.close().catch(() => {});
  }
}

import { Writable } from 'node:stream';
import { pino } from 'pino';
import supertest from 'supertest';
import type { Contract } from '../../src/contract/contract.ts';
import { createLogger, type Logger } from '../../src/logger.ts';
import type { ModelServerAddress } from '../../src/model-server/model-server-client.ts';
import { createService, type Service } from '../../src/service.ts';
import { readSettings } from '../../src/settings.ts';
import { createTestDatabase, type DatabaseKind, type TestDatabase } from './databases.ts';

export interface TestService extends AsyncDisposable {
  service: Service;
  url: string;
  http: ReturnType<typeof supertest>;
  contract: Contract;
  /** Every log line so far. */
  log(): string;
}

interface TestServiceOptions {
  database?: DatabaseKind;
  /** A database that others use too; whoever made it drops it. */
  on?: TestDatabase;
  environment?: Record<string, string>;
  contract?: Contract;
  /** Of several versions, the one that should be live first. */
  contracts?: readonly Contract[];
  modelServer?: ModelServerAddress;
  registryEveryMs?: number;
}

/** The real service on a free port and a fresh database; with nothing said, the embedded model server and PGlite. */
export async function startTestService(options: TestServiceOptions = {}): Promise<TestService> {
  await using parts = new AsyncDisposableStack();
  const database = options.on ?? parts.use(await createTestDatabase(options.database ?? 'PGlite'));
  const { logger, lines } = memoryLogger();
  const contracts = options.contracts ?? (options.contract && [options.contract]);
  const settings = readSettings({ PORT: '0', ...database.environment, ...options.environment });
  const service = parts.use(
    await createService(settings, {
      logger,
      ...(contracts && { contracts }),
      ...(options.modelServer && { modelServer: options.modelServer }),
      ...(options.registryEveryMs !== undefined && { registryEveryMs: options.registryEveryMs }),
    }),
  );
  const url = await service.start();
  const owned = parts.move();
  return {
    service,
    url,
    http: supertest(url),
    contract: service.contract,
    log: () => lines.join(''),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The service's own logger, writing to memory. */
export function memoryLogger(): { logger: Logger; lines: string[] } {
  const lines: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  return { logger: createLogger({ level: 'debug', stream }), lines };
}

export const silentLogger: Logger = pino({ level: 'silent' });

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { readContract } from '../src/contract/contract.ts';
import { createLastingDatabase, databaseKinds } from './support/databases.ts';
import {
  askDatabase,
  countKept,
  hasEnded,
  readProgress,
  readResults,
  sendList,
  untilList,
} from './support/list-caller.ts';
import { longList } from './support/long-list.ts';
import { createServiceStarter } from './support/service-process.ts';
import { until } from './support/until.ts';

const isLong = process.env['LONG_TESTS'] === '1';
const rows = 15_000;
const poison = 'POISON';
/** The second of four chunks. */
const poisonedRow = 5_000;
const contract = readContract('config/rfc_tune/contract.json');
const { csv, refused } = longList(contract, rows);
const poisoned = Buffer.from(csv.toString().replace(`C${String(poisonedRow).padStart(7, '0')}`, poison));
const chunkRows = 4_096;

const { start, endAll } = createServiceStarter();
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'poison-'));
});
afterEach(endAll);
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Has a process die, or the thread that it happens in, when it unpacks the chunk that has the poison in it. */
function dieOfPoison(how: string): Record<string, string> {
  const file = join(folder, `${how.replaceAll(/\W/g, '')}.mjs`);
  writeFileSync(
    file,
    `import zlib from 'node:zlib';
import { syncBuiltinESMExports } from 'node:module';
const unpack = zlib.zstdDecompress;
zlib.zstdDecompress = (packed, done) =>
  unpack(packed, (error, bytes) => {
    if (bytes?.includes('\\n${poison},')) ${how};
    done(error, bytes);
  });
syncBuiltinESMExports();
`,
  );
  return { NODE_OPTIONS: `--import=${pathToFileURL(file).href}` };
}

async function expectGivenUp(url: string, id: string) {
  const ended = await untilList(url, id, hasEnded);
  expect(ended).toMatchObject({ state: 'failed', reason: 'chunk_given_up' });
  expect(ended.rows.labelled + ended.rows.rejected).toBe(rows);
  const others = rows - chunkRows;
  expect(ended.rows.labelled).toBeGreaterThan(others - refused);
  expect(ended.rows.labelled).toBeLessThanOrEqual(others);
  return ended.rows;
}

it.each(await databaseKinds())(
  'a chunk that ends its thread each time is given up, the others are labelled and the service lives, on %s',
  async (kind) => {
    await using database = await createLastingDatabase(kind);
    const service = await start({ ...database.environment, ...dieOfPoison('process.exit(1)') });
    const { id } = await sendList(service.url, poisoned, 'poisoned');
    const beganAt = performance.now();
    const counted = await expectGivenUp(service.url, id);
    const seconds = (performance.now() - beganAt) / 1_000;
    expect((await fetch(`${service.url}/ready`)).status).toBe(200);
    expect((await readResultsOf(service.url)).length).toBe(3_000);
    await service.end('SIGTERM');
    const { repeats } = await countKept(database.environment);
    console.log(
      `${kind}: given up after ${seconds.toFixed(0)} s, ${repeats} attempts begun again; ${JSON.stringify(counted)}`,
    );
    expect(repeats).toBeGreaterThanOrEqual(15);
  },
  300_000,
);

/** A list after it is labelled as ever. */
async function readResultsOf(url: string): Promise<string[]> {
  const { id } = await sendList(url, longList(contract, 3_000, 'next-').csv, 'next');
  await untilList(url, id, hasEnded);
  return (await readResults(url, id)).split('\n').slice(1, -1);
}

it('a chunk that kills the whole service each time is given up, and the others are labelled', async () => {
  await using database = await createLastingDatabase('PGlite');
  // Not before whoever sent the list has its answer
  const die = `return setTimeout(() => process.kill(process.pid, 'SIGKILL'), 500)`;
  const environment = { ...database.environment, ...dieOfPoison(die) };
  let service = await start(environment);
  const { id } = await sendList(service.url, poisoned, 'poisoned');
  let deaths = 0;
  for (;;) {
    await until(async () => {
      const { exitCode, signalCode } = service.process;
      return exitCode !== null || signalCode !== null || (await isOver(service.url, id));
    }, 100);
    if (service.process.signalCode === null) break;
    deaths += 1;
    // Rather than die 16 times it has but few attempts left
    if (!isLong && deaths === 1)
      await askDatabase(
        database.environment,
        'UPDATE customer_labels_jobs.job SET retry_limit = 3 WHERE retry_limit = 15',
      );
    service = await start(environment);
  }
  const counted = await expectGivenUp(service.url, id);
  console.log(`the service died ${deaths} times of a chunk before that was given up; ${JSON.stringify(counted)}`);
  expect(deaths).toBe(isLong ? 16 : 4);
  expect((await readResultsOf(service.url)).length).toBe(3_000);
}, 600_000);

async function isOver(url: string, id: string): Promise<boolean> {
  return readProgress(url, id).then(hasEnded, () => false);
}

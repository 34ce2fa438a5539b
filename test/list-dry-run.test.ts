import { readdirSync, readlinkSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openScratchFile } from '../src/batches/scratch-file.ts';
import { labelList, sendList, toyList } from './support/lists.ts';
import { type StandIn, startStandIn } from './support/stand-in-model-server.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { toyContract } from './support/toy-model.ts';
import { until } from './support/until.ts';

let standIn: StandIn;
let test: TestService;
beforeAll(async () => {
  standIn = await startStandIn();
  test = await startTestService({ contract: toyContract(), modelServer: standIn.address });
}, 60_000);
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await standIn[Symbol.asyncDispose]();
});

const query = '?dryRun=true';
const onLinux = process.platform === 'linux' ? describe : describe.skip;

/** Sizes of the scratch files that this process, and so the service, holds open. */
function scratchFiles(): number[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = `/proc/self/fd/${fd}`;
      return /customer-labels-\w+\/scratch \(deleted\)$/.test(readlinkSync(path)) ? [statSync(path).size] : [];
    } catch {
      return [];
    }
  });
}

it('counts customers who stand twice as the real report does', async () => {
  const twice = toyList(20_000, (row) => (row === 19_999 || row === 1 ? 'C0' : `C${row}`)) + toyList(3).slice(20);
  const refused = `${twice}C5;x;1;0\nC6;x;1;0\n`;
  const { rows } = await labelList(test, refused);
  const { body } = await sendList(test, refused, { query }).expect(200);
  expect(rows.duplicates).toBe(4);
  expect(body.rows).toEqual({ total: rows.total, accepted: rows.labelled, rejected: 2, duplicates: rows.duplicates });
  expect((await sendList(test, toyList(10), { query }).expect(200)).body.rows.duplicates).toBe(0);
}, 60_000);

onLinux('what it reads twice', () => {
  it('waits in a file without a name, and is gone with the answer', async () => {
    const upload = request(`${test.url}/v1/batches${query}`, {
      method: 'POST',
      headers: { 'Content-Type': 'text/csv' },
    });
    const status = new Promise<number | undefined>((resolve, reject) => {
      upload.once('response', (response) => resolve(response.resume().statusCode));
      upload.once('error', reject);
    });
    upload.write(toyList(70_000));
    await until(async () => scratchFiles().some((size) => size > 0));
    upload.end();
    expect(await status).toBe(200);
    await until(async () => scratchFiles().length === 0);
  }, 30_000);

  it.each(['cut off', 'refused'])(
    'is gone when the upload is %s',
    async (how) => {
      const upload = request(`${test.url}/v1/batches${query}`, {
        method: 'POST',
        headers: { 'Content-Type': 'text/csv' },
      });
      upload.on('error', () => {});
      upload.on('response', (response) => response.resume());
      upload.write(toyList(70_000));
      await until(async () => scratchFiles().some((size) => size > 0));
      if (how === 'cut off') upload.destroy();
      else upload.end('C1;"2');
      await until(async () => scratchFiles().length === 0);
    },
    30_000,
  );

  it('is read as it was kept, in any order', async () => {
    await using file = await openScratchFile();
    const texts = ['first', '', 'third'];
    const places = await Promise.all(texts.map((text) => file.keep(Buffer.from(text))));
    for (const [i, place] of [...places.entries()].toReversed())
      expect(Buffer.from(await file.read(place)).toString()).toBe(texts[i]);
  });
});

import closeWithGrace from 'close-with-grace';
import dotenv from 'dotenv';
import { describeFailure } from './failure.ts';
import { createService, type Service } from './service.ts';
import { readSettings, type Settings } from './settings.ts';
import { startMessage } from './start-message.ts';

const stopTimeoutMs = 20_000;

async function main() {
  dotenv.config({ quiet: true });
  const settings = readSettings(process.env);
  const service = await createService(settings);
  closeWithGrace({ delay: stopTimeoutMs, logger: false, skip: ['beforeExit'] }, async ({ err }) => {
    if (err) console.error(describeFailure(err));
    await service[Symbol.asyncDispose]();
  });
  try {
    const url = await service.start();
    console.log(
      startMessage({ url, settings, contract: service.contract, firstKey: await makeFirstKey(service, settings) }),
    );
  } catch (error) {
    await service[Symbol.asyncDispose]();
    throw error;
  }
}

/** With keys as the way in and none made yet, nobody could make the first one. */
async function makeFirstKey({ keys }: Service, { access }: Settings): Promise<string | null> {
  if (access !== 'own' || (await keys.list()).length > 0) return null;
  const { key } = await keys.create({ name: 'first admin', role: 'admin' });
  return key;
}

try {
  await main();
} catch (error) {
  console.error(describeFailure(error));
  process.exitCode = 1;
}

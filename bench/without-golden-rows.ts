import { createService } from '../src/service.ts';
import { readSettings } from '../src/settings.ts';
import { startMessage } from '../src/start-message.ts';

/** The service with calls that prove nothing: only to measure what the proof costs. */
const settings = readSettings(process.env);
const service = await createService(settings, { goldenRowsPerCall: 0 });
const url = await service.start();
const { key } = await service.keys.create({ name: 'bench', role: 'admin' });
console.log(startMessage({ url, settings, contract: service.contract, firstKey: key }));
process.once('SIGTERM', () => void service[Symbol.asyncDispose]());

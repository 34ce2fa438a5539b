import { expect, it } from '@jest/globals';
import { createFaultLog } from '../src/fault-log.ts';
import { memoryLogger } from './support/test-service.ts';

it('says a fault once when it begins, once when it is another one, and once when it is over', () => {
  const { logger, lines } = memoryLogger();
  const faults = createFaultLog({ logger, begins: 'it fails', ends: 'it works again' });
  const away = () => Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
  faults.worked();
  for (let i = 0; i < 100; i += 1) faults.failed(away());
  faults.failed(new Error('another one'));
  for (let i = 0; i < 3; i += 1) faults.worked();
  faults.failed(away());
  const told = lines.map((line) => JSON.parse(line)).map(({ level, msg, err }) => [level, msg, err?.code]);
  expect(told).toEqual([
    [40, 'it fails', 'database_unavailable'],
    [40, 'it fails', 'internal'],
    [30, 'it works again', undefined],
    [40, 'it fails', 'database_unavailable'],
  ]);
});

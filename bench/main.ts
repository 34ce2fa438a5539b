import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { drawSingle } from './draw-single.ts';
import { benchSingle, type SingleRow } from './single.ts';
import { benchStored } from './stored.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    callers: { type: 'string', default: '1,64' },
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    svg: { type: 'string' },
  },
});

const durationMs = Number(values.seconds) * 1_000;
const [bench = 'single'] = positionals;
if (bench === 'single') {
  const callers = values.callers.split(',').map(Number);
  const rows = await benchSingle({ callers, durationMs, rounds: Number(values.rounds) });
  console.table(rows.map(describe));
  for (const count of callers) console.log(compare(rows.filter((row) => row.callers === count)));
  if (values.svg !== undefined) writeFileSync(values.svg, drawSingle(rows));
  console.log(JSON.stringify({ bench, rows }));
} else if (bench === 'stored') {
  const rows = await benchStored({ callers: 64, durationMs });
  console.table(rows.map(({ perSecond, ...row }) => ({ ...row, perSecond: Math.round(perSecond) })));
  console.log(JSON.stringify({ bench, rows }));
} else {
  console.error(
    'usage: npm run bench -- [single [--callers 1,16,64,256] [--rounds 3] [--svg FILE] | stored] [--seconds 5]',
  );
  process.exitCode = 2;
}

function describe({ way, callers, perSecond, p50Ms, p99Ms, failed, use }: SingleRow) {
  const processes = Object.entries(use).map(
    ([name, { cpuPerSecond, residentMb }]) => `${name} ${cpuPerSecond.toFixed(2)} s/s ${residentMb.toFixed(0)} MB`,
  );
  return {
    way,
    callers,
    'customers/s': Math.round(perSecond),
    'p50 ms': Number(p50Ms.toFixed(1)),
    'p99 ms': Number(p99Ms.toFixed(1)),
    failed,
    'processor and memory': processes.join(', '),
  };
}

function compare(rows: SingleRow[]): string {
  const [a, b, c] = rows as [SingleRow, SingleRow, SingleRow];
  const ratio = (x: number, y: number) => `${(x / y).toFixed(2)}×`;
  return `${c.callers} callers: this service does ${ratio(c.perSecond, a.perSecond)} the customers/s of the seed's way at ${ratio(c.p50Ms, a.p50Ms)} its p50, and ${ratio(c.perSecond, b.perSecond)} those of server 2 called directly.`;
}

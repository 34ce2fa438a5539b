import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { drawSingle } from './draw-single.ts';
import { benchGolden } from './golden.ts';
import { benchList } from './list.ts';
import { benchSingle, type SingleRow } from './single.ts';
import { benchStored } from './stored.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    callers: { type: 'string', default: '1,64' },
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    svg: { type: 'string' },
    rows: { type: 'string', default: '1000000' },
    database: { type: 'string', default: 'PostgreSQL' },
    instances: { type: 'string', default: '1' },
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
} else if (bench === 'golden') {
  const callers = values.callers.split(',').map(Number);
  const rows = await benchGolden({ callers, durationMs, rounds: Number(values.rounds) });
  console.table(rows.map(describe));
  for (const count of callers) console.log(compareGolden(rows.filter((row) => row.callers === count)));
  console.log(JSON.stringify({ bench, rows }));
} else if (bench === 'list') {
  const database = values.database === 'PGlite' ? 'PGlite' : 'PostgreSQL';
  const rows = await benchList({
    rows: Number(values.rows),
    database,
    instances: Number(values.instances),
    callers: 8,
  });
  const [predict] = rows;
  console.table(
    rows.map(({ what, rows: count, seconds, rowsPerSecond, residentMb, idleMb, singleP99Ms, cpu }) => ({
      what,
      rows: count,
      seconds: Number(seconds.toFixed(1)),
      'rows/s': Math.round(rowsPerSecond),
      'of predict': `${(rowsPerSecond / (predict?.rowsPerSecond ?? NaN)).toFixed(2)}×`,
      'MB over idle': residentMb === undefined ? '' : Math.round(residentMb - (idleMb ?? 0)),
      'processor s/s': Object.entries(cpu ?? {})
        .map(([name, share]) => `${name} ${share.toFixed(2)}`)
        .join(', '),
      'idle MB': idleMb === undefined ? '' : Math.round(idleMb),
      "a single customer's p99 ms": singleP99Ms === undefined ? '' : Number(singleP99Ms.toFixed(1)),
    })),
  );
  console.log(JSON.stringify({ bench, rows }));
} else if (bench === 'stored') {
  const rows = await benchStored({ callers: 64, durationMs });
  console.table(rows.map(({ perSecond, ...row }) => ({ ...row, perSecond: Math.round(perSecond) })));
  console.log(JSON.stringify({ bench, rows }));
} else {
  console.error(
    'usage: npm run bench -- [single [--callers 1,16,64,256] [--rounds 3] [--svg FILE] | golden | stored | list [--rows 1000000] [--database PGlite] [--instances 1]] [--seconds 5]',
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

function compareGolden(rows: SingleRow[]): string {
  const [proved, unproved] = rows as [SingleRow, SingleRow];
  const change = (x: number, y: number) => `${x < y ? '−' : '+'}${Math.abs((x / y - 1) * 100).toFixed(1)} %`;
  return `${proved.callers} callers: golden rows make the p50 ${change(proved.p50Ms, unproved.p50Ms)} and the customers/s ${change(proved.perSecond, unproved.perSecond)}.`;
}

function compare(rows: SingleRow[]): string {
  const [a, b, c] = rows as [SingleRow, SingleRow, SingleRow];
  const ratio = (x: number, y: number) => `${(x / y).toFixed(2)}×`;
  return `${c.callers} callers: this service does ${ratio(c.perSecond, a.perSecond)} the customers/s of the seed's way at ${ratio(c.p50Ms, a.p50Ms)} its p50, and ${ratio(c.perSecond, b.perSecond)} those of server 2 called directly.`;
}

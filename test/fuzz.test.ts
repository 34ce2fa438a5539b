import { afterAll, beforeAll, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Contract, Feature } from '../src/contract/contract.ts';
import { type Caller, createCaller, inParallel } from './support/caller.ts';
import { startTestService, type TestService } from './support/test-service.ts';

/**
 * Generated bodies, and what the contract says of them in plain words here, apart from the service's own checks.
 * FUZZ_SEED=… makes the same bodies again.
 */
/** The same bodies in every short run, others in each long one. */
const isLong = process.env['LONG_TESTS'] === '1';
const bodies = isLong ? 1_000_000 : 20_000;
const seed = Number(process.env['FUZZ_SEED'] ?? (isLong ? Math.floor(Math.random() * 2 ** 31) : 20_261_123));
const rowsPerList = 50;
const maxFloat32 = 3.4028234663852886e38;

let test: TestService;
let caller: Caller;
let features: Contract['features'];
beforeAll(async () => {
  test = await startTestService({ environment: { LOG_LEVEL: 'warn' } });
  features = test.contract.features;
  caller = createCaller(test.url);
});
afterAll(async () => {
  caller[Symbol.dispose]();
  await test[Symbol.asyncDispose]();
});

const isFloat32 = (value: unknown) =>
  typeof value === 'number' && Number.isFinite(value) && Math.abs(value) <= maxFloat32;

function isAllowed(value: unknown, { allowed, type, scaling }: Feature): boolean {
  if (!isFloat32(value)) return false;
  const number = value as number;
  if ('values' in allowed && !allowed.values.includes(number)) return false;
  if ('minimum' in allowed && allowed.minimum !== undefined && number < allowed.minimum) return false;
  if ('maximum' in allowed && allowed.maximum !== undefined && number > allowed.maximum) return false;
  if (type === 'integer' && number % 1 !== 0) return false;
  return isFloat32((number - scaling.mean) / scaling.scale);
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const hasOnly = (value: object, names: string[]) => Object.keys(value).every((name) => names.includes(name));

function isGoodCustomer(body: unknown, more: string[] = []): boolean {
  if (!isRecord(body) || !hasOnly(body, ['features', 'scale', ...more])) return false;
  const { features: given, scale } = body;
  if (Object.hasOwn(body, 'scale') && scale !== 'raw' && scale !== 'standardized') return false;
  const isGood = (value: unknown, i: number) =>
    scale === 'standardized' ? isFloat32(value) : isAllowed(value, features[i] as Feature);
  if (Array.isArray(given)) return scale !== undefined && given.length === features.length && given.every(isGood);
  const names = features.map(({ name }) => name);
  return isRecord(given) && hasOnly(given, names) && names.every((name, i) => isGood(given[name], i));
}

function isGoodRow(row: unknown): boolean {
  if (!isRecord(row) || typeof row['id'] !== 'string') return false;
  const { id } = row as { id: string };
  const isPlain = id.isWellFormed() && !/\p{Cc}|^\uFEFF/u.test(id);
  return isPlain && id !== '' && Array.from(id).length <= 128 && isGoodCustomer(row, ['id']);
}

function isGoodInvocation(body: unknown): boolean {
  if (!isRecord(body) || Object.keys(body).length !== 1) return false;
  const { inputs, instances = inputs } = body;
  const isRow = (row: unknown) => Array.isArray(row) && row.length === features.length && row.every(isFloat32);
  return Array.isArray(instances) && instances.length > 0 && instances.every(isRow);
}

/** JSON text, so that there are numbers that JavaScript has not; what JSON.parse makes of them is what is checked. */
const json = (value: unknown) => JSON.stringify(value).replaceAll(/"\u2063([^"]*)"/g, '$1');
const literally = (text: string) => `\u2063${text}`;

const wild = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.constantFrom(null, true, '', '1', [], {}, [1], { value: 1 }, maxFloat32, -maxFloat32, 3.402823466385289e38),
  fc.constantFrom('1e400', '-1e400', '-0', '9007199254740993', '9'.repeat(60), '1E-400', '0.1e1').map(literally),
  fc.jsonValue({ maxDepth: 2 }),
);
/** Mostly what the feature takes, so that a whole vector is right about as often as it is wrong. */
const valueOf = ({ allowed, type }: Feature) => {
  const whole = fc.oneof(fc.nat(300), fc.constantFrom(0, 2 ** 31, 2 ** 53, 1e30, 2 ** 100));
  const real = fc.oneof(
    fc.double({ min: 0, max: 400, noNaN: true }),
    fc.constantFrom(1e-300, 5e-324, 1e38, maxFloat32),
  );
  const right = 'values' in allowed ? fc.constantFrom(...allowed.values) : type === 'integer' ? whole : real;
  return fc.oneof({ arbitrary: right, weight: 80 }, { arbitrary: wild, weight: 1 });
};
const standardized = fc.oneof(
  { arbitrary: fc.double({ min: -5, max: 5, noNaN: true }), weight: 60 },
  { arbitrary: fc.double({ min: -maxFloat32, max: maxFloat32, noNaN: true }), weight: 20 },
  { arbitrary: wild, weight: 1 },
);
const vectorOf = (values: fc.Arbitrary<unknown>[]) =>
  fc.oneof(
    { arbitrary: fc.tuple(...values), weight: 9 },
    { arbitrary: fc.array(values[0] as fc.Arbitrary<unknown>, { maxLength: 14 }), weight: 1 },
  );
const name = fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'id', 'toString', ''));

function customerOf(kinds: Feature[]): fc.Arbitrary<object> {
  const named = (values: fc.Arbitrary<unknown>[]) =>
    fc
      .tuple(fc.tuple(...values), fc.constantFrom(...Array<number>(30).fill(-1), ...kinds.keys()), fc.boolean())
      .map(([row, without, turned]) => {
        const entries = kinds.flatMap(({ name: key }, i) => (i === without ? [] : [[key, row[i]] as const]));
        return Object.fromEntries(turned ? entries.toReversed() : entries);
      });
  const right = kinds.map(valueOf);
  const scaled = kinds.map(() => standardized);
  const more = fc.oneof(
    { arbitrary: fc.constant({}), weight: 20 },
    { arbitrary: fc.dictionary(name, wild), weight: 1 },
  );
  return fc
    .tuple(
      fc.oneof(
        fc.record({ features: named(right) }),
        fc.record({ features: named(right), scale: fc.constant('raw') }),
        fc.record({ features: vectorOf(right), scale: fc.constant('raw') }),
        fc.record({ features: named(scaled), scale: fc.constant('standardized') }),
        fc.record({ features: vectorOf(scaled), scale: fc.constant('standardized') }),
        fc.record({ features: fc.oneof(vectorOf(right), wild), scale: fc.oneof(wild, fc.constant(undefined)) }),
      ),
      more,
    )
    .map(([customer, extra]) => ({ ...extra, ...customer }));
}

const idOf = fc.oneof(
  { arbitrary: fc.uuid(), weight: 6 },
  { arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 140 }), weight: 2 },
  { arbitrary: fc.oneof(fc.string({ unit: 'binary' }), wild), weight: 1 },
);

interface Sent {
  path: string;
  text: string;
  bodies: number;
  /** Says what is wrong with the answer, if anything. */
  check(status: number, answer: string): string | undefined;
}

const tally = { good: 0, bad: 0 };
function count(isGood: boolean): boolean {
  tally[isGood ? 'good' : 'bad'] += 1;
  return isGood;
}

function one(customer: object): Sent {
  const text = json(customer);
  const good = count(isGoodCustomer(JSON.parse(text)));
  const check = (status: number) => (status === (good ? 200 : 422) ? undefined : `${status}, and good is ${good}`);
  return { path: '/v1/customers/fuzz/label', text, bodies: 1, check };
}

function many(customers: unknown[]): Sent {
  const text = json({ customers });
  const expected = (JSON.parse(text) as { customers: unknown[] }).customers.map((row) => count(isGoodRow(row)));
  const check = (status: number, answer: string) => {
    if (status !== 200) return `${status} for a list`;
    const { labels } = JSON.parse(answer) as { labels: object[] };
    const wrong = expected.findIndex((good, i) => 'label' in (labels[i] as object) !== good);
    return wrong === -1 ? undefined : `row ${wrong}, ${json(customers[wrong])}: ${JSON.stringify(labels[wrong])}`;
  };
  return { path: '/v1/labels', text, bodies: customers.length, check };
}

function invocation(body: unknown): Sent {
  const text = json(body);
  const good = count(isGoodInvocation(JSON.parse(text)));
  const check = (status: number) => (status === (good ? 200 : 400) ? undefined : `${status}, and good is ${good}`);
  return { path: '/invocations', text, bodies: 1, check };
}

/** Requests without end: of each kind in turn, all from the one seed. */
function* requests(): Generator<Sent> {
  const customer = customerOf(features);
  const rows = fc.array(vectorOf(features.map(() => standardized)), { maxLength: 4 });
  const row = fc.oneof(
    { arbitrary: fc.tuple(idOf, customer).map(([id, fields]) => ({ id, ...fields })), weight: 30 },
    { arbitrary: wild, weight: 1 },
  );
  const kinds = fc.oneof(
    { arbitrary: customer.map(one), weight: 5 },
    { arbitrary: fc.array(row, { minLength: rowsPerList, maxLength: rowsPerList }).map(many), weight: 2 },
    { arbitrary: fc.record({ inputs: rows }).map(invocation), weight: 3 },
    { arbitrary: fc.record({ instances: rows }).map(invocation), weight: 1 },
    {
      arbitrary: fc.dictionary(fc.oneof(name, fc.constant('inputs')), fc.oneof(rows, wild)).map(invocation),
      weight: 1,
    },
  );
  // In pieces, each from a seed of its own: a million bodies are not kept in memory.
  for (let piece = 0; ; piece += 1) yield* fc.sample(kinds, { seed: seed + piece, numRuns: 200 });
}

it(
  `labels exactly what the contract allows, of ${bodies} generated bodies`,
  async () => {
    const startedAt = Date.now();
    let sent = 0;
    const wrong: string[] = [];
    function* enough() {
      for (const request of requests()) {
        if (sent >= bodies || wrong.length > 0) return;
        sent += request.bodies;
        yield request;
      }
    }
    await inParallel(enough(), 32, async ({ path, text, check }) => {
      const answer = await caller.ask('POST', path, text);
      const fault = check(answer.status, answer.text);
      if (fault) wrong.push(`POST ${path} ${text.slice(0, 2_000)}\n→ ${fault}\n${answer.text.slice(0, 500)}`);
    });
    console.log(`fuzz: ${sent} bodies in ${Date.now() - startedAt} ms, ${JSON.stringify(tally)}, FUZZ_SEED=${seed}`);
    if (wrong.length > 0) throw new Error(`with FUZZ_SEED=${seed}:\n${wrong.slice(0, 3).join('\n\n')}`);
    expect(sent).toBeGreaterThanOrEqual(bodies);
    // An oracle that only ever says yes, or no, would show nothing.
    expect(Math.min(tally.good, tally.bad)).toBeGreaterThan(bodies / 5);
    expect(test.log()).not.toMatch(/"status":5|unexpected error/);
  },
  bodies * 15,
);

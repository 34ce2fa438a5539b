import { setTimeout as sleep } from 'node:timers/promises';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  bytes,
  chunk,
  compressed,
  cut,
  drip,
  head,
  isOpen,
  json,
  labelsOf,
  predictions,
  type Respond,
  right,
  status,
} from './support/byte-answers.ts';
import { startTalkingPeer } from './support/bad-peers.ts';
import { type Gate, startGate } from './support/gate.ts';
import { type StandIn, startStandIn } from './support/stand-in-model-server.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { toyContract, toyCustomer } from './support/toy-model.ts';

const timeoutMs = 500;
const mebibyte = 1024 * 1024;
// made before the first call: compressing takes longer than a call may
const gzipBomb = gzipSync(Buffer.alloc(64 * mebibyte, ' '));
const brotliBomb = brotliCompressSync(Buffer.alloc(8 * mebibyte, ' '));

let standIn: StandIn;
let gate: Gate;
let test: TestService;
let toyAnswer: StandIn['respond'];

beforeAll(async () => {
  standIn = await startStandIn();
  toyAnswer = standIn.respond;
  gate = await startGate();
  gate.target = Number(new URL(standIn.address.url).port);
  test = await startTestService({
    contract: toyContract(),
    modelServer: { ...standIn.address, url: `https://127.0.0.1:${gate.port}` },
    environment: { MODEL_SERVER_TIMEOUT_MS: String(timeoutMs) },
  });
});
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await gate[Symbol.asyncDispose]();
  await standIn[Symbol.asyncDispose]();
});
afterEach(() => {
  standIn.respond = toyAnswer;
  gate.target = Number(new URL(standIn.address.url).port);
});

const label = (id: string, body = toyCustomer()) => test.http.post(`/v1/customers/${id}/label`).send(body);

interface Refusal {
  status: number;
  code: string;
}
const badAnswer: Refusal = { status: 502, code: 'model_bad_answer' };
const unavailable: Refusal = { status: 503, code: 'model_unavailable' };
const late: Refusal = { status: 504, code: 'deadline' };

const faults: [string, Respond, Refusal][] = [
  ['each label in a list of its own', predictions((one) => [one]), badAnswer],
  ['predictions in predictions', json((labels) => ({ predictions: { predictions: labels } })), badAnswer],
  ['labels three lists deep', predictions((one) => [[one]]), badAnswer],
  ['records', predictions((one) => ({ label: one })), badAnswer],
  ["MLflow 1.x's bare list", json((labels) => labels), badAnswer],
  ['a bare list of records', json((labels) => labels.map((one) => ({ 0: one }))), badAnswer],
  [
    'a label outside the contract for everybody',
    predictions(() => 'enormous'),
    { status: 503, code: 'model_untrusted' },
  ],
  [
    'a label outside the contract for the customer',
    json((labels) => ({ predictions: [...labels.slice(0, -1), 'HIGH'] })),
    badAnswer,
  ],
  ['a number for the customer', json((labels) => ({ predictions: [...labels.slice(0, -1), 2] })), badAnswer],
  ['true for the customer', json((labels) => ({ predictions: [...labels.slice(0, -1), true] })), badAnswer],
  [
    'one list of probabilities among labels',
    json((labels) => ({ predictions: [...labels.slice(0, -1), [0, 0, 1]] })),
    badAnswer,
  ],
  ['labels as one text', json((labels) => ({ predictions: labels.join() })), badAnswer],
  ['an empty list', json(() => ({ predictions: [] })), badAnswer],
  ['JSON null', json(() => null), badAnswer],
  ['Infinity', bytes(() => `${head('Connection: close')}{"predictions": [Infinity]}`), badAnswer],
  ['an empty 200', bytes(() => head('Content-Length: 0')), badAnswer],
  ['a 200 of HTML', ({ response }) => void response.setHeader('Content-Type', 'text/html').end('<html>'), badAnswer],
  ['204 without a body', ({ response }) => void response.writeHead(204).end(), badAnswer],
  ['206, a part', status(206), badAnswer],
  ['UTF-16', (call) => void call.response.writeHead(200).end(Buffer.from(right(call), 'utf16le')), badAnswer],
  ['a gzip bomb', compressed('gzip', () => gzipBomb), badAnswer],
  ['a brotli bomb', compressed('br', () => brotliBomb), badAnswer],
  ['a compressed answer that was not asked for', compressed('gzip', (c) => gzipSync(right(c))), badAnswer],
  ['bytes that are no HTTP', bytes(() => Buffer.alloc(2_000, 0xfe)), badAnswer],
  ['another protocol', bytes(() => '220 mail.example ESMTP\r\n'), badAnswer],
  ['headers of 1 MB', bytes(() => `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(mebibyte)}\r\n\r\n{}`), badAnswer],
  ['an impossible Content-Length', bytes((c) => `${head('Content-Length: -5')}${right(c)}`), badAnswer],
  ['two lengths', bytes((c) => `${head('Content-Length: 9', 'Content-Length: 90')}${right(c)}`), badAnswer],
  [
    'a length and chunks',
    bytes((c) => `${head('Content-Length: 5', 'Transfer-Encoding: chunked')}${chunk(right(c))}0\r\n\r\n`),
    badAnswer,
  ],
  [
    'a chunk size that is no number',
    bytes(() => `${head('Transfer-Encoding: chunked')}zz\r\n{}\r\n0\r\n\r\n`),
    badAnswer,
  ],
  [
    'half a body by Content-Length',
    bytes((c) => `${head(`Content-Length: ${right(c).length}`)}${cut(right(c))}`),
    badAnswer,
  ],
  ['half a body in chunks', bytes((c) => `${head('Transfer-Encoding: chunked')}${chunk(cut(right(c)))}`), badAnswer],
  ['half a chunk', bytes((c) => `${head('Transfer-Encoding: chunked')}${chunk(cut(right(c)), 900).trim()}`), badAnswer],
  ['half a body of no stated length', bytes((c) => `${head('Connection: close')}${cut(right(c))}`), badAnswer],
  ['half a header', bytes(() => 'HTTP/1.1 200 OK\r\nContent-Ty'), unavailable],
  ['a FIN and nothing else', bytes(() => ''), unavailable],
  ['a reset before the answer', () => gate.drop('reset'), unavailable],
  [
    'a reset in the body',
    async (call) => {
      call.request.socket.write(`${head(`Content-Length: ${right(call).length}`)}${cut(right(call))}`);
      await sleep(50);
      gate.drop('reset');
    },
    unavailable,
  ],
  ['headers that drip', (call) => drip(call, head('Content-Length: 2'), 25), late],
  ['chunks that drip', (call) => drip(call, `${head('Transfer-Encoding: chunked')}${chunk(' ').repeat(99)}`, 10), late],
  ['"processing" without end', (call) => drip(call, 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(99), 1), late],
  [
    'a body that never ends',
    bytes((c) => `${head(`Content-Length: ${right(c).length + 1}`)}${right(c)}`, 'stay'),
    late,
  ],
  ...[401, 403, 404, 405, 413, 415, 418].map((code): [string, Respond, Refusal] => [
    `a ${code}`,
    status(code),
    badAnswer,
  ]),
  ...[500, 501, 502, 504].map((code): [string, Respond, Refusal] => [`a ${code}`, status(code), badAnswer]),
  ['a 429 that says when', status(429, { 'Retry-After': '3' }), unavailable],
  ['a 503', status(503), unavailable],
];

describe('a model server that answers with', () => {
  it.each(faults)('%s', async (what, respond, { status, code }) => {
    standIn.respond = respond;
    const id = encodeURIComponent(what);
    const startedAt = performance.now();
    const answer = await label(id);
    const tookMs = performance.now() - startedAt;
    expect({ status: answer.status, code: answer.body.code }).toEqual({ status, code });
    expect(tookMs).toBeLessThan(timeoutMs + 250);
    if (status === 504) expect(tookMs).toBeGreaterThan(timeoutMs - 50);
    await test.http.get(`/v1/customers/${id}/label`).expect(404);

    standIn.respond = toyAnswer;
    const { body } = await label(id).expect(200);
    expect(body.label).toBe('high');
  });

  it('a 429 passes on when to come again', async () => {
    standIn.respond = status(429, { 'Retry-After': '3' });
    expect((await label('when')).headers['retry-after']).toBe('3');
  });

  const odd: [string, Respond][] = [
    ['a byte order mark', (call) => void call.response.end(`\uFEFF${right(call)}`)],
    [
      'no reason beside the 200',
      bytes((c) => `HTTP/1.1 200 \r\nContent-Length: ${right(c).length}\r\n\r\n${right(c)}`),
    ],
    ['HTTP/1.0 and no length', bytes((c) => `HTTP/1.0 200 OK\r\n\r\n${right(c)}`)],
    [
      'one byte a chunk',
      bytes(
        (c) =>
          `${head('Transfer-Encoding: chunked')}${right(c)
            .split('')
            .map((b) => chunk(b))
            .join('')}0\r\n\r\n`,
      ),
    ],
    [
      '"processing" first',
      bytes((c) => `HTTP/1.1 102 Processing\r\n\r\n${head(`Content-Length: ${right(c).length}`)}${right(c)}`),
    ],
    ['text/plain', (call) => void call.response.setHeader('Content-Type', 'text/plain').end(right(call))],
    ['more beside the predictions', json((labels) => ({ predictions: labels, took: 1, __proto__: { a: 1 } }))],
  ];
  it.each(odd)('%s is understood all the same', async (what, respond) => {
    standIn.respond = respond;
    const { body } = await label(`odd-${odd.findIndex(([name]) => name === what)}`).expect(200);
    expect(body.label).toBe('high');
  });

  it('more than was asked for is not read to its end', async () => {
    for (const length of [`Content-Length: ${64 * mebibyte}`, 'Connection: close']) {
      let sent = 0;
      standIn.respond = async (call) => {
        const { socket } = call.request;
        socket.write(head(length));
        while (isOpen(call) && sent < 64 * mebibyte) {
          if (!socket.write(Buffer.alloc(65_536, ' ')))
            await Promise.race([new Promise((r) => socket.once('drain', r)), sleep(20)]);
          sent += 65_536;
        }
      };
      const { body } = await label('huge').expect(502);
      expect(body.code).toBe('model_bad_answer');
      await sleep(100);
      expect(sent).toBeLessThan(16 * mebibyte);
    }
  });
});

describe('nothing reaches the second server', () => {
  const locations = (port: number) => [`https://127.0.0.1:${port}/invocations`, `http://127.0.0.1:${port}/invocations`];

  it.each([301, 302, 303, 307, 308])('when the first answers %i, to https or to http', async (code) => {
    await using second = await startGate();
    for (const location of [...locations(second.port), `//127.0.0.1:${second.port}/`]) {
      standIn.respond = status(code, { Location: location });
      const { body } = await label(`redirected-${code}`).expect(502);
      expect(body.code).toBe('model_bad_answer');
    }
    expect(second.connections).toBe(0);
    await test.http.get(`/v1/customers/redirected-${code}/label`).expect(404);
  });

  it('when the first names another service beside a good answer', async () => {
    await using second = await startGate();
    standIn.respond = (call) => {
      call.response.setHeader('Alt-Svc', `h2="127.0.0.1:${second.port}"; ma=3600`);
      call.response.setHeader('Location', locations(second.port)[0] as string);
      call.response.setHeader('Refresh', `0; url=${locations(second.port)[1]}`);
      call.response.end(right(call));
    };
    await label('elsewhere').expect(200);
    await label('elsewhere').expect(200);
    expect(second.connections).toBe(0);
  });
});

it.each([0, 20])('drops a connection that brings a second answer %i ms after the first', async (pauseMs) => {
  const answer = (text: string) => `${head(`Content-Length: ${text.length}`)}${text}`;
  const dropped = Promise.withResolvers<void>();
  standIn.respond = async (call) => {
    const { socket } = call.request;
    socket.once('close', () => dropped.resolve());
    const wrong = JSON.stringify({ predictions: [...labelsOf(call).slice(0, -1), 'low'] });
    socket.write(answer(right(call)) + (pauseMs === 0 ? answer(wrong) : ''));
    await sleep(pauseMs);
    if (pauseMs > 0 && isOpen(call)) socket.write(answer(wrong));
  };
  expect((await label(`first-${pauseMs}`).expect(200)).body.label).toBe('high');
  const answeredAt = performance.now();
  await dropped.promise;
  // and not only because nobody used it
  expect(performance.now() - answeredAt).toBeLessThan(2_000);
  standIn.respond = toyAnswer;
  expect((await label(`second-${pauseMs}`, toyCustomer('middle')).expect(200)).body.label).toBe('middle');
});

describe('in time, a model server that', () => {
  const away: [string, () => Promise<AsyncDisposable & { port: number | null }>, Refusal][] = [
    ['is not there', async () => ({ port: null, [Symbol.asyncDispose]: async () => {} }), unavailable],
    ['accepts and does not even begin TLS', () => startTalkingPeer(''), late],
  ];
  it.each(away)('%s', async (what, start, { status, code }) => {
    await using peer = await start();
    gate.drop();
    gate.target = peer.port;
    const startedAt = performance.now();
    const answer = await label(encodeURIComponent(what));
    expect({ status: answer.status, code: answer.body.code }).toEqual({ status, code });
    expect(performance.now() - startedAt).toBeLessThan(timeoutMs + 250);
    gate.drop();
    gate.target = Number(new URL(standIn.address.url).port);
    await label(encodeURIComponent(what)).expect(200);
  });
});

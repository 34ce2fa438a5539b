import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { goldenVector } from '../src/contract/scaling.ts';
import { startStandIn, sendJson, type StandIn } from './support/stand-in-model-server.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { golden, toyContract, toyCustomer, toyLabel } from './support/toy-model.ts';

const contract = toyContract();
const goldenVectors = new Set(contract.goldenRows.map((row) => String(goldenVector(contract, row))));

let standIn: StandIn;
let test: TestService;
const answerRight = ({ vectors }: { vectors: number[][] }, reply: (p: unknown[]) => void) =>
  reply(vectors.map(toyLabel));

beforeAll(async () => {
  standIn = await startStandIn();
  test = await startTestService({
    contract: toyContract(),
    modelServer: standIn.address,
    environment: { MODEL_SERVER_TIMEOUT_MS: '500' },
  });
});
afterAll(async () => {
  await test[Symbol.asyncDispose]();
  await standIn[Symbol.asyncDispose]();
});
afterEach(() => {
  standIn.respond = answerRight;
});

const label = (id: string, body: object = toyCustomer()) => test.http.post(`/v1/customers/${id}/label`).send(body);

it('serves another model, with other features and labels, by its contract alone', async () => {
  for (const code of ['low', 'middle', 'high'] as const) {
    const { body } = await label(`toy-${code}`, toyCustomer(code)).expect(200);
    expect(body).toMatchObject({
      label: code,
      name: code,
      model: { name: 'toy', version: '7' },
      source: 'model-server',
    });
  }
});

it('carries golden rows in each call, before the customers', async () => {
  standIn.calls.length = 0;
  await label('golden').expect(200);
  expect(standIn.calls).toHaveLength(1);
  expect(standIn.calls[0]?.vectors).toHaveLength(golden + 1);
});

it('gives the probability when the model server answers with probabilities', async () => {
  const order = ['low', 'middle', 'high'];
  standIn.respond = ({ vectors }, reply) =>
    reply(vectors.map((vector) => order.map((code) => (code === toyLabel(vector) ? 0.8 : 0.1))));
  const { body } = await label('probable').expect(200);
  expect(body).toMatchObject({ label: 'high', probability: 0.8 });
});

describe('an answer that cannot be used', () => {
  const html = '<html>fine</html>';
  const raw =
    (status: number, type: string, body: string) =>
    ({ response }: { response: ServerResponse }) =>
      void response.writeHead(status, { 'Content-Type': type }).end(body);
  const spoilt =
    (spoil: (labels: unknown[]) => unknown) =>
    ({ vectors, response }: { vectors: number[][]; response: ServerResponse }) =>
      sendJson(response, spoil(vectors.map(toyLabel)));

  const answers: [string, StandIn['respond'], number, string][] = [
    ['one prediction too few', spoilt((p) => ({ predictions: p.slice(1) })), 502, 'model_bad_answer'],
    ['one prediction too many', spoilt((p) => ({ predictions: [...p, 'low'] })), 502, 'model_bad_answer'],
    ['no predictions', spoilt(() => ({})), 502, 'model_bad_answer'],
    ['predictions that are null', spoilt((p) => ({ predictions: p.map(() => null) })), 502, 'model_bad_answer'],
    ['an object', spoilt((p) => ({ predictions: { 0: p } })), 502, 'model_bad_answer'],
    ['a bare list', spoilt((p) => p), 502, 'model_bad_answer'],
    [
      'a label outside the contract',
      spoilt((p) => ({ predictions: [...p.slice(0, -1), 'enormous'] })),
      502,
      'model_bad_answer',
    ],
    [
      'probabilities that do not add up',
      spoilt((p) => ({ predictions: p.map(() => [0.1, 0.1, 0.1]) })),
      502,
      'model_bad_answer',
    ],
    ['HTML with 200', raw(200, 'text/html', html), 502, 'model_bad_answer'],
    ['nothing with 200', raw(200, 'application/json', ''), 502, 'model_bad_answer'],
    ['broken JSON', raw(200, 'application/json', '{"predictions": ["low"'), 502, 'model_bad_answer'],
    ['a NaN', raw(200, 'application/json', '{"predictions": [NaN]}'), 502, 'model_bad_answer'],
    [
      'a huge body',
      raw(200, 'application/json', JSON.stringify({ predictions: 'x'.repeat(200_000) })),
      502,
      'model_bad_answer',
    ],
    ['500', raw(500, 'text/html', html), 502, 'model_bad_answer'],
    ['404', raw(404, 'text/html', html), 502, 'model_bad_answer'],
    ['503', raw(503, 'text/html', html), 503, 'model_unavailable'],
    ['a dropped connection', ({ request }) => void request.socket.destroy(), 503, 'model_unavailable'],
    ['no answer at all', () => {}, 504, 'deadline'],
    [
      'a body that drips',
      async ({ response }) => {
        response.writeHead(200, { 'Content-Type': 'application/json' });
        for (let i = 0; i < 10 && !response.destroyed; i += 1) {
          response.write(' ');
          await sleep(100);
        }
        response.end();
      },
      504,
      'deadline',
    ],
  ];

  it.each(answers)('%s', async (what, respond, status, code) => {
    standIn.respond = respond;
    const id = `bad ${what}`;
    const startedAt = Date.now();
    const { body } = await label(encodeURIComponent(id)).expect(status);
    expect(body.code).toBe(code);
    expect(JSON.stringify(body)).not.toMatch(/html|enormous/);
    expect(Date.now() - startedAt).toBeLessThan(500 + 250);
    await test.http.get(`/v1/customers/${encodeURIComponent(id)}/label`).expect(404);
  });

  it('follows no redirect: nothing reaches the second server', async () => {
    await using second = await startStandIn();
    standIn.respond = ({ response }) =>
      void response.writeHead(307, { Location: `${second.address.url}/invocations` }).end();
    const { body } = await label('redirected').expect(502);
    expect(body.code).toBe('model_bad_answer');
    expect(second.calls).toEqual([]);
  });

  it('repeats a Retry-After, within bounds', async () => {
    for (const [given, expected] of [
      ['7', '7'],
      ['1000000', '30'],
      ['-5', '1'],
      ['soon', '1'],
    ] as const) {
      standIn.respond = ({ response }) => void response.writeHead(503, { 'Retry-After': given }).end();
      const answer = await label('later').expect(503);
      expect(answer.headers['retry-after']).toBe(expected);
    }
  });
});

it('repeats once on a connection that was closed under it', async () => {
  let first = true;
  standIn.respond = (call, reply) => {
    if (!first) return answerRight(call, reply);
    first = false;
    call.request.socket.destroy();
  };
  await label('reset').expect(200);
});

describe('a row that only the model server refuses', () => {
  /** Refuses, as MLflow does, a whole call that holds a customer with this height. */
  const refusing =
    (isBad: (vector: readonly number[]) => boolean): StandIn['respond'] =>
    (call, reply) => {
      if (call.vectors.some((vector) => !goldenVectors.has(String(vector)) && isBad(vector)))
        sendJson(call.response, { error_code: 'BAD_REQUEST', stack_trace: 'secret' }, 400);
      else answerRight(call, reply);
    };
  const list = (n: number) =>
    Array.from({ length: n }, (_, i) => ({ id: `b${i}`, features: { height: 150 + i / 10, visits: 2, vip: 1 } }));
  const vectorHeight = (i: number) => (150 + i / 10 - 170) / 10;

  it('costs only itself, at a bounded number of calls', async () => {
    const bad = vectorHeight(77);
    standIn.respond = refusing(([height]) => height === bad);
    standIn.calls.length = 0;
    const { body } = await test.http
      .post('/v1/labels')
      .send({ customers: list(256) })
      .expect(200);
    expect(body).toMatchObject({ labelled: 255, rejected: 1 });
    expect(body.labels[77]).toEqual({
      customerId: 'b77',
      error: {
        code: 'invalid_features',
        errors: [{ pointer: '#/customers/77/features', code: 'refused_by_model', detail: expect.any(String) }],
      },
    });
    expect(standIn.calls.length - 1).toBeLessThanOrEqual(2 * Math.log2(256) + 2);
  });

  it('alone in its call is a 422', async () => {
    standIn.respond = refusing(() => true);
    const { body } = await label('alone').expect(422);
    expect(body).toMatchObject({
      code: 'invalid_features',
      errors: [{ pointer: '#/features', code: 'refused_by_model' }],
    });
    expect(JSON.stringify(body)).not.toContain('secret');
  });

  it('is every row: then the fault is not in the rows', async () => {
    standIn.respond = refusing(() => true);
    standIn.calls.length = 0;
    const { body } = await test.http
      .post('/v1/labels')
      .send({ customers: list(8) })
      .expect(502);
    expect(body.code).toBe('model_bad_answer');
  });

  it('is not looked for when the golden rows alone are refused too', async () => {
    standIn.respond = ({ response }) => sendJson(response, {}, 400);
    standIn.calls.length = 0;
    const { body } = await test.http
      .post('/v1/labels')
      .send({ customers: list(64) })
      .expect(502);
    expect(body.code).toBe('model_bad_answer');
    expect(standIn.calls.length).toBe(2);
  });
});

it('refuses with overloaded when too many wait, and labels again afterwards', async () => {
  await using small = await startTestService({
    contract: toyContract(),
    modelServer: standIn.address,
    environment: { MODEL_SERVER_MAX_QUEUED_ROWS: '4', MODEL_SERVER_MAX_ROWS: '1', MODEL_SERVER_CONCURRENCY: '1' },
  });
  let release: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  standIn.respond = async (call, reply) => {
    await held;
    answerRight(call, reply);
  };
  const answers = Array.from({ length: 12 }, (_, i) =>
    small.http
      .post(`/v1/customers/o${i}/label`)
      .send(toyCustomer())
      .then((r) => r),
  );
  const refused = await Promise.race(answers);
  expect(refused.status).toBe(503);
  expect(refused.body.code).toBe('overloaded');
  expect(refused.headers['retry-after']).toBe('1');
  release();
  const statuses = (await Promise.all(answers)).map((answer) => answer.status);
  expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(5);
  expect(new Set(statuses)).toEqual(new Set([200, 503]));
  await small.http.post('/v1/customers/after/label').send(toyCustomer()).expect(200);
});

it('keeps an answer to older features that arrives late out of the current label', async () => {
  const releases: (() => void)[] = [];
  standIn.respond = async (call, reply) => {
    if (call.vectors.length > golden + 1 || releases.length > 0) return answerRight(call, reply);
    await new Promise<void>((resolve) => releases.push(resolve));
    answerRight(call, reply);
  };
  const older = label('late', toyCustomer('low')).then((answer) => answer);
  while (releases.length === 0) await sleep(5);
  await label('late', toyCustomer('high')).expect(200);
  releases[0]?.();
  expect((await older).body.label).toBe('low');
  expect((await test.http.get('/v1/customers/late/label')).body.label).toBe('high');
  const { body } = await test.http.get('/v1/customers/late/labels').expect(200);
  expect(body.labels.map((one: { label: string }) => one.label)).toEqual(['high', 'low']);
});

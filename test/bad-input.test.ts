import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { seedCustomers, seedRequest } from './support/seed.ts';
import { startTestService, type TestService } from './support/test-service.ts';

let test: TestService;
beforeAll(async () => {
  test = await startTestService();
});
afterAll(async () => {
  const { body } = await test.http.get('/v1/labels').expect(200);
  await test[Symbol.asyncDispose]();
  expect(body.labels).toEqual([]);
});

const { byName, raw, standardized } = seedCustomers.leaves;
const day = 'total_day_minutes';
const { [day]: _left, ...withoutDay } = byName;

/** JSON text, so that numbers can be written that JavaScript has not. */
const withDay = (text: string) => JSON.stringify({ features: { ...byName, [day]: 'HERE' } }).replace('"HERE"', text);
const post = (body: string | object, path = '/v1/customers/C1/label') =>
  test.http
    .post(path)
    .set('Content-Type', 'application/json')
    .send(typeof body === 'string' ? body : JSON.stringify(body));

describe('one feature that cannot be', () => {
  it.each([
    ['1e999', 'not_finite'],
    ['-1e999', 'not_finite'],
    ['1e39', 'out_of_float32'],
    ['"1.5"', 'not_a_number'],
    ['true', 'not_a_number'],
    ['null', 'not_a_number'],
    ['[]', 'not_a_number'],
    ['{}', 'not_a_number'],
    ['-1', 'not_allowed_value'],
  ])('%s is %s', async (text, code) => {
    const { body } = await post(withDay(text)).expect(422).expect('Content-Type', 'application/problem+json');
    expect(body).toMatchObject({
      code: 'invalid_features',
      status: 422,
      errors: [{ pointer: `#/features/${day}`, code }],
    });
    expect(body.requestId).toEqual(expect.any(String));
  });

  it('is beyond float32 in a standardised vector', async () => {
    const features = [3.5e38, ...standardized.slice(1)];
    const { body } = await post({ features, scale: 'standardized' }).expect(422);
    expect(body.errors).toEqual([expect.objectContaining({ pointer: '#/features/0', code: 'out_of_float32' })]);
  });

  it('is not one of the allowed values, or not whole', async () => {
    const features = { ...byName, international_plan: 2, total_day_calls: 1.5 };
    const { body } = await post({ features }).expect(422);
    expect(body.errors.map((one: { pointer: string; code: string }) => [one.pointer, one.code])).toEqual([
      ['#/features/international_plan', 'not_allowed_value'],
      ['#/features/total_day_calls', 'not_allowed_value'],
    ]);
  });
});

describe('all faults at once', () => {
  it('by name', async () => {
    const features = { ...withoutDay, total_eve_minutes: '1', total_night_minutes: null, colour: 3 };
    const { body } = await post({ features, when: 'now' }).expect(422);
    expect(new Set(body.errors.map((one: { pointer: string; code: string }) => `${one.pointer} ${one.code}`))).toEqual(
      new Set([
        '#/when unknown_field',
        '#/features/total_day_minutes feature_missing',
        '#/features/total_eve_minutes not_a_number',
        '#/features/total_night_minutes not_a_number',
        '#/features/colour feature_unknown',
      ]),
    );
  });

  it('in Spanish, with the same codes', async () => {
    const { body } = await post({ features: withoutDay }).set('Accept-Language', 'es').expect(422);
    expect(body.title).toBe('Las variables no se pueden etiquetar');
    expect(body.errors[0]).toEqual({
      pointer: `#/features/${day}`,
      code: 'feature_missing',
      detail: 'Falta esta variable.',
    });
  });
});

describe('features of the wrong shape', () => {
  it.each([
    ['11 numbers', { features: raw.slice(1), scale: 'raw' }, '#/features', 'feature_count'],
    ['13 numbers', { features: [...raw, 1], scale: 'raw' }, '#/features', 'feature_count'],
    ['no numbers', { features: [], scale: 'raw' }, '#/features', 'feature_count'],
    ['an array without its scale', { features: raw }, '#/scale', 'scale_missing'],
    ['an unknown scale', { features: raw, scale: 'log' }, '#/scale', 'unknown_scale'],
    ['text', { features: 'many' }, '#/features', 'wrong_type'],
    ['null', { features: null }, '#/features', 'wrong_type'],
    ['nothing', {}, '#/features', 'feature_missing'],
    ['a __proto__', '{"features":{"__proto__":{"x":1}}}', '#/features/__proto__', 'feature_unknown'],
  ])('%s', async (_what, body, pointer, code) => {
    const answer = await post(body).expect(422);
    expect(answer.body.errors).toContainEqual(expect.objectContaining({ pointer, code }));
  });

  it.each([['[]'], ['null'], ['1'], ['"text"']])('a body that is %s', async (body) => {
    await post(body).expect(422);
    await post(body, '/v1/labels').expect(422);
  });

  it.each([[{}], [{ customers: [] }], [{ customers: {} }], [{ customers: [{}], more: 1 }]])(
    'a list that is %j',
    async (body) => {
      const answer = await post(body, '/v1/labels');
      expect(answer.status).toBe(422);
      expect(answer.body.errors.length).toBeGreaterThan(0);
    },
  );
});

describe('a body that is no JSON', () => {
  it.each([
    ['{"features": '],
    [''],
    ['NaN'],
    ['{"features": NaN}'],
    ['{"features": [Infinity]}'],
    ["{'a': 1}"],
    ['\uFEFF{}x'],
  ])('%j is 400', async (body) => {
    const answer = await post(body).expect(400);
    expect(answer.body.code).toBe('malformed_json');
  });

  it.each([['text/plain'], ['text/csv'], ['application/json; charset=utf-16'], ['application/xml']])(
    '%s is 415',
    async (type) => {
      const answer = await test.http.post('/v1/customers/C1/label').set('Content-Type', type).send('{}').expect(415);
      expect(answer.body.code).toBe('unsupported_media_type');
    },
  );

  it('over the limit is 413', async () => {
    const answer = await post(`{"features": "${'x'.repeat(70_000)}"}`).expect(413);
    expect(answer.body.code).toBe('body_too_large');
  });

  it('not in UTF-8 is 400, compressed is 415', async () => {
    const request = test.http.post('/v1/customers/C1/label').set('Content-Type', 'application/json');
    request.write(Buffer.from([0x22, 0xff, 0x22]));
    expect((await request).status).toBe(400);
    const zipped = await test.http
      .post('/v1/customers/C1/label')
      .set({ 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' })
      .send('{}');
    expect(zipped.status).toBe(415);
  });
});

describe('/invocations refuses in the shape of MLflow', () => {
  const [first] = seedRequest.inputs;
  it.each([
    ['not JSON', '{'],
    ['no format', {}],
    ['two formats', { inputs: [first], instances: [first] }],
    ['no rows', { inputs: [] }],
    ['a flat vector', { inputs: first }],
    ['11 values', { inputs: [first?.slice(1)] }],
    ['text', { inputs: [first?.map(String)] }],
    ['null', { inputs: [first?.map(() => null)] }],
    ['beyond float32', { inputs: [first?.map(() => 1e39)] }],
    ['unknown columns', { dataframe_split: { columns: first?.map((_value, i) => `c${i}`), data: [first] } }],
  ])('%s', async (_what, body) => {
    const answer = await post(body, '/invocations')
      .expect(400)
      .expect('Content-Type', /^application\/json/);
    expect(answer.body).toEqual({ error_code: 'BAD_REQUEST', message: expect.any(String) });
  });
});

it('answers 405 with what is allowed, and 404 elsewhere', async () => {
  const wrong = await test.http.put('/v1/labels').expect(405);
  expect(wrong.headers['allow']).toBe('POST, GET, HEAD');
  expect(wrong.body.code).toBe('method_not_allowed');
  await test.http.get('/nothing/here').expect(404);
});

it('answers 431 to headers that are too long, to a caller who sends on and reads later', async () => {
  const { hostname, port } = new URL(test.url);
  const socket = connect({ host: hostname, port: Number(port) }).pause();
  socket.on('error', () => {});
  socket.write('GET /v1/labels HTTP/1.1\r\nHost: x\r\nX-Long: ');
  for (let sent = 0; sent < 5; sent += 1) {
    socket.write('x'.repeat(20_000));
    await sleep(20);
  }
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).resume();
  await once(socket, 'close');
  expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1.1 431 /);
});

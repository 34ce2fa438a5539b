import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createCaller, inParallel } from './support/caller.ts';
import { type Gate, startGate } from './support/gate.ts';
import { type StandIn, startStandIn } from './support/stand-in-model-server.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { golden, toyContract, toyCustomer } from './support/toy-model.ts';
import { until } from './support/until.ts';

const timeoutMs = 3_000;

let standIn: StandIn;
let gate: Gate;
let test: TestService;
let toyAnswer: StandIn['respond'];

beforeAll(async () => {
  standIn = await startStandIn();
  toyAnswer = standIn.respond;
  gate = await startGate();
});
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  await standIn[Symbol.asyncDispose]();
});

async function startBehindGate(environment: Record<string, string> = {}) {
  standIn.respond = toyAnswer;
  gate.target = Number(new URL(standIn.address.url).port);
  const service = await startTestService({
    contract: toyContract(),
    modelServer: { ...standIn.address, url: `https://127.0.0.1:${gate.port}` },
    environment: { MODEL_SERVER_TIMEOUT_MS: String(timeoutMs), ...environment },
  });
  standIn.calls.length = 0;
  return service;
}

const label = (id: string) => test.http.post(`/v1/customers/${id}/label`).send(toyCustomer());
const metric = async (name: string) => {
  const { text } = await test.http.get('/metrics').expect(200);
  return Number(new RegExp(`^customer_labels_${name} (\\S+)$`, 'm').exec(text)?.[1]);
};
const modelServer = async () => (await test.http.get('/ready').expect(200)).body.checks.modelServer;

describe('one fault', () => {
  beforeAll(async () => {
    test = await startBehindGate();
  });
  afterAll(async () => {
    await test[Symbol.asyncDispose]();
  });

  /** The next call meets this, later ones the toy model; when each call came. */
  const onceThen = (fault: StandIn['respond']) => {
    const calledAt: number[] = [];
    standIn.respond = (call, reply) => {
      calledAt.push(performance.now());
      return calledAt.length === 1 ? fault(call, reply) : toyAnswer(call, reply);
    };
    return calledAt;
  };

  it.each([503, 429])('of %i is made good by a retry', async (status) => {
    const calledAt = onceThen(({ response }) => void response.writeHead(status).end());
    const before = await metric('model_retries_total');
    await label(`retried-${status}`).expect(200);
    expect(calledAt).toHaveLength(2);
    expect((await metric('model_retries_total')) - before).toBe(1);
  });

  it('with a Retry-After is retried after it', async () => {
    const calledAt = onceThen(({ response }) => void response.writeHead(503, { 'Retry-After': '1' }).end());
    await label('asked').expect(200);
    expect((calledAt[1] as number) - (calledAt[0] as number)).toBeGreaterThan(990);
  });

  it.each(['3', '3600', new Date(Date.now() + 3_600_000).toUTCString()])(
    'with a Retry-After of %s, beyond the deadline, is not retried and passed on within bounds',
    async (asked) => {
      const calledAt = onceThen(({ response }) => void response.writeHead(503, { 'Retry-After': asked }).end());
      const startedAt = performance.now();
      const { headers } = await label('asked-long').expect(503);
      expect(performance.now() - startedAt).toBeLessThan(1_500);
      expect(Number(headers['retry-after'])).toBe(Math.min(Number(asked) || 3_600, 30));
      expect(calledAt).toHaveLength(1);
      await label('asked-long').expect(200);
    },
  );

  it.each([500, 400, 404])('of %i is not retried', async (status) => {
    const calledAt = onceThen(({ response }) => void response.writeHead(status).end());
    // a refused row is looked for with golden rows
    await label(`fault-${status}`).expect(status === 400 ? 422 : 502);
    const again = standIn.calls.slice(-calledAt.length).filter(({ vectors }) => vectors.length === golden + 1);
    expect(again).toHaveLength(1);
  });

  it('stops nobody else', async () => {
    expect((await modelServer()).outage).toBeNull();
    expect(await metric('model_outage')).toBe(0);
    expect(await metric('refused_in_outage_total')).toBe(0);
  });
});

describe('an outage', () => {
  it('refuses at once, what waits too, says so everywhere, serves what is stored, and ends by itself', async () => {
    test = await startBehindGate({ MODEL_SERVER_CONCURRENCY: '2', MODEL_SERVER_MAX_ROWS: '1' });
    await using _ = test;
    await label('stored').expect(200);
    await test.http.get('/v1/model').expect(({ body }) => expect(body.guard.outage).toBeNull());

    // One call hangs, those in the other place are reset, and behind them customers wait
    const calls: number[] = [];
    standIn.respond = ({ request }) => void (calls.push(performance.now()) === 1 || request.socket.destroy());
    const answers = Array.from({ length: 40 }, (_, i) =>
      label(`w${i}`).then((answer) => ({ answer, atMs: performance.now() })),
    );
    const hung = Promise.all(answers);
    await until(async () => (await modelServer()).outage !== null);
    const made = [...calls];
    // five were reset and retried within the budgets
    expect(made.length - 1).toBeLessThanOrEqual(5 + 10);
    // all but those five, and the one that hangs
    const customersRefused = 40 - 6;
    await until(async () => (await metric('refused_in_outage_total')) === customersRefused);
    const ended = (await hung).toSorted((one, other) => one.atMs - other.atMs);
    expect(ended.at(-1)?.answer.body.code).toBe('deadline');
    const refusedAt = ended.slice(0, -1);
    expect(refusedAt.map(({ answer }) => answer.body.code)).toEqual(refusedAt.map(() => 'model_unavailable'));
    expect((refusedAt.at(-1)?.atMs as number) - (made.at(-1) as number)).toBeLessThan(2_000);

    standIn.calls.length = 0;
    const refused = await label('refused').expect(503);
    expect(refused.body.code).toBe('model_unavailable');
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(5);
    await test.http
      .post('/v1/labels')
      .send({ customers: [{ id: 'a', ...toyCustomer() }] })
      .expect(503);
    await test.http
      .post('/invocations')
      .send({ inputs: [[1, 1, 1]] })
      .expect(503);
    await label('refused')
      .send({ features: { height: 'x' } })
      .expect(422);
    await test.http.get('/v1/customers/stored/label').expect(200);
    await test.http.get('/v1/customers/refused/label').expect(404);

    const ready = await test.http.get('/ready').expect(200);
    expect(ready.body).toMatchObject({
      overall: 'warn',
      checks: {
        modelServer: { state: 'unavailable', outage: { reason: expect.stringMatching(/cannot be reached/) } },
      },
    });
    expect(Date.now() - Date.parse(ready.body.checks.modelServer.outage.since)).toBeLessThan(30_000);
    expect(ready.text.replace('"overall":"warn"', '')).not.toMatch(/pass|warn|fail/);
    expect((await test.http.get('/v1/model').expect(200)).body.guard).toEqual(ready.body.checks.modelServer);
    expect(await metric('model_outage')).toBe(1);
    expect(await metric('refused_in_outage_total')).toBeGreaterThan(customersRefused);

    // Only golden rows are sent meanwhile
    await until(() => standIn.calls.length >= 2);
    const sent = standIn.calls.map(({ vectors }) => vectors.length);
    expect(sent).toEqual(sent.map(() => toyContract().goldenRows.length));

    standIn.respond = toyAnswer;
    await until(async () => (await label('back')).status === 200);
    expect((await test.http.get('/ready').expect(200)).body.overall).toBe('pass');
    expect(await metric('model_outage')).toBe(0);
    const told = test
      .log()
      .split('\n')
      .filter((line) => /an outage of|the outage of/.test(line));
    expect(told).toHaveLength(2);
  });

  it('found out by timeouts refuses what waits behind places that are still taken', async () => {
    test = await startBehindGate({ MODEL_SERVER_TIMEOUT_MS: '2000', MODEL_SERVER_CONCURRENCY: '1' });
    await using _ = test;
    standIn.respond = () => {};
    const fed: Promise<unknown>[] = [];
    const ofGoldenRowsAlone = toyContract().goldenRows.length;
    await until(() => {
      fed.push(label(`fed-${fed.length}`).then((answer) => answer));
      return standIn.calls.filter(({ vectors }) => vectors.length !== ofGoldenRowsAlone).length >= 3;
    }, 200);
    // in time for the end of the third call, and their own deadline comes after it
    await sleep(1_000);
    const waiting = await Promise.all(
      Array.from({ length: 5 }, (_, i) => label(`w${i}`).then(({ body }) => body.code)),
    );
    expect(waiting).toEqual(waiting.map(() => 'model_unavailable'));
    await Promise.all(fed);
  });

  it('ends in time though a probe hangs', async () => {
    test = await startBehindGate({ MODEL_SERVER_TIMEOUT_MS: '10000' });
    await using _ = test;
    standIn.respond = ({ request }) => void request.socket.destroy();
    await until(async () => {
      await label('reset');
      return (await modelServer()).outage !== null;
    });
    standIn.respond = () => {};
    const before = standIn.calls.length;
    await until(() => standIn.calls.length > before);
    standIn.respond = toyAnswer;
    const backAt = performance.now();
    await until(async () => (await label('back')).status === 200);
    expect(performance.now() - backAt).toBeLessThan(6_000);
  });

  it('of a model server that refuses connections ends within 2 s of its return', async () => {
    test = await startBehindGate();
    await using _ = test;
    using caller = createCaller(test.url, 16);
    const body = JSON.stringify(toyCustomer());
    const ask = (id: string) => caller.ask('POST', `/v1/customers/${id}/label`, body);
    gate.drop();
    gate.target = null;
    await until(async () => {
      await ask('x');
      return (await modelServer()).outage !== null;
    });
    gate.forget();
    const startedAt = performance.now();
    const tookMs: number[] = [];
    await inParallel(Array.from({ length: 400 }).keys(), 16, async (i) => {
      const askedAt = performance.now();
      expect((await ask(`away-${i}`)).status).toBe(503);
      tookMs.push(performance.now() - askedAt);
    });
    const probes = 1 + (performance.now() - startedAt) / 1_000;
    expect(gate.connections).toBeLessThanOrEqual(probes);
    expect(tookMs.toSorted((a, b) => a - b)[395]).toBeLessThan(2_000);
    gate.target = Number(new URL(standIn.address.url).port);
    const backAt = performance.now();
    await until(async () => (await ask('back')).status === 200);
    expect(performance.now() - backAt).toBeLessThan(6_000);
  });
});

describe('a call that timed out', () => {
  it('keeps its place for a while, so that a hung server gets no more calls meanwhile', async () => {
    test = await startBehindGate({ MODEL_SERVER_TIMEOUT_MS: '400', MODEL_SERVER_CONCURRENCY: '1' });
    await using _ = test;
    const calledAt: number[] = [];
    standIn.respond = (call, reply) => {
      // golden rows alone: the guard asks on its own
      if (call.vectors.length === toyContract().goldenRows.length) return toyAnswer(call, reply);
      calledAt.push(performance.now());
      return calledAt.length === 1 ? undefined : toyAnswer(call, reply);
    };
    await label('late').expect(504);
    await label('next').expect(({ status }) => expect([200, 504]).toContain(status));
    await until(async () => (await label('then')).status === 200);
    expect((calledAt[1] as number) - (calledAt[0] as number)).toBeGreaterThan(750);
  });
});

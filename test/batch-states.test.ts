import { createEventSource } from './support/read-events.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { databaseKinds } from './support/databases.ts';
import { type Gate, startGate } from './support/gate.ts';
import { fetchList, labelList, progressOf, sendList, toyList, untilEnded, untilState } from './support/lists.ts';
import { type Call, type StandIn, startStandIn } from './support/stand-in-model-server.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { golden, toyContract } from './support/toy-model.ts';
import { until } from './support/until.ts';

const rows = 40_000;

describe.each(await databaseKinds())('a list on %s', (database) => {
  let test: TestService;
  let standIn: StandIn;
  let gate: Gate;
  let toyAnswer: StandIn['respond'];
  beforeAll(async () => {
    standIn = await startStandIn();
    toyAnswer = standIn.respond;
    gate = await startGate();
    gate.target = Number(new URL(standIn.address.url).port);
    test = await startTestService({
      database,
      contract: toyContract(),
      modelServer: { ...standIn.address, url: `https://127.0.0.1:${gate.port}` },
      environment: { MODEL_SERVER_CONCURRENCY: '1', MODEL_SERVER_TIMEOUT_MS: '3000' },
    });
  }, 60_000);
  afterAll(async () => {
    await test[Symbol.asyncDispose]();
    await gate[Symbol.asyncDispose]();
    await standIn[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    standIn.respond = toyAnswer;
    gate.target = Number(new URL(standIn.address.url).port);
  });

  const isLarge = ({ vectors }: Call) => vectors.length > 1_000;
  const logged = (id: string, words: string) =>
    test
      .log()
      .split('\n')
      .filter((line) => line.includes(id) && line.includes(words)).length;

  it('that is cancelled keeps the labels that were made, and its results say which rows have none', async () => {
    let large = 0;
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    standIn.respond = async (call, reply) => {
      if (isLarge(call) && (large += 1) === 2) await released;
      return toyAnswer(call, reply);
    };
    const { body } = await sendList(
      test,
      toyList(rows, (row) => `X${row}`),
    ).expect(202);
    const early = await fetchList(test, `${body.id}/results`);
    expect([early.status, JSON.parse(early.bytes.toString()).code]).toEqual([409, 'batch_not_ended']);
    await until(() => large === 2);
    await until(async () => (await progressOf(test, body.id)).rows.labelled === 4_096);
    const cancelled = await test.http.delete(`/v1/batches/${body.id}`).expect(200);
    release();
    expect(cancelled.body).toMatchObject({ state: 'cancelled', reason: null, etaSeconds: null });
    // Whatever is still under way, and a list behind it
    await labelList(test, toyList(3));
    const after = await progressOf(test, body.id);
    expect(after).toMatchObject({ state: 'cancelled', rows: { total: rows, labelled: 4_096, rejected: 0 } });
    const lines = (await fetchList(test, `${body.id}/results`)).bytes.toString().trimEnd().split('\n').slice(1);
    expect(lines).toHaveLength(rows);
    expect(lines.filter((line) => /;;;;;row: This row was not labelled/.test(line))).toHaveLength(rows - 4_096);
    await test.http.get('/v1/customers/X1/label').expect(200);
    await test.http.get(`/v1/customers/X${rows - 1}/label`).expect(404);
    expect((await test.http.delete(`/v1/batches/${body.id}`).expect(200)).body.state).toBe('cancelled');
  }, 60_000);

  it('waits while the model server is away, says why, and goes on by itself', async () => {
    gate.target = null;
    gate.drop();
    const { body } = await sendList(test, toyList(rows)).expect(202);
    await untilState(test, body.id, 'waiting');
    expect(await progressOf(test, body.id)).toMatchObject({ reason: 'model_unavailable', rows: { labelled: 0 } });
    // Longer than a worker that says nothing is left alone
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    gate.target = Number(new URL(standIn.address.url).port);
    const ended = await untilEnded(test, body.id);
    expect(ended).toMatchObject({ state: 'succeeded', reason: null, rows: { labelled: rows } });
    expect([
      logged(body.id, 'a list waits'),
      logged(body.id, 'a list goes on'),
      logged(body.id, 'a list ended'),
    ]).toEqual([1, 1, 1]);
  }, 60_000);

  it('is labelled in smaller calls by a model server that is too slow for large ones', async () => {
    standIn.respond = async (call, reply) => {
      if (call.vectors.length < 3_000) return toyAnswer(call, reply);
      await new Promise((resolve) => setTimeout(resolve, 4_000));
      return toyAnswer(call, reply);
    };
    const ended = await labelList(test, toyList(10_000));
    expect(ended).toMatchObject({ state: 'succeeded', rows: { labelled: 10_000 } });
  }, 120_000);

  it('loses the rows only that the model server refuses, in few calls', async () => {
    const bad = [7, 8, 500];
    const list = toyList(1_000, (row) => `B${row}`)
      .split('\n')
      .map((line, i) => (bad.includes(i - 1) ? line.replace(/;\d+;/, ';99999;') : line))
      .join('\n');
    standIn.respond = (call, reply) => {
      if (call.vectors.some(([height]) => (height as number) > 1_000))
        return void call.response.writeHead(400).end('{"error_code":"BAD_REQUEST"}');
      return toyAnswer(call, reply);
    };
    standIn.calls.length = 0;
    const ended = await labelList(test, list);
    expect(ended).toMatchObject({ state: 'partially_succeeded', rows: { labelled: 997, rejected: 3 } });
    expect(ended.errors).toEqual([expect.objectContaining({ code: 'refused_by_model', rows: 3 })]);
    expect(ended.errors[0].lines).toEqual(bad.map((row) => row + 2));
    const calls = standIn.calls.filter(({ vectors }) => vectors.length > golden).length;
    expect(calls).toBeLessThanOrEqual(1 + bad.length * (2 * Math.ceil(Math.log2(1_000)) + 2));
    const rejected = (await fetchList(test, `${ended.id}/rejected`)).bytes.toString().trimEnd().split('\n');
    expect(rejected).toHaveLength(4);
    expect(rejected[1]).toMatch(/^B7;.*;9;row;refused_by_model;/);
  }, 60_000);

  it('is told of as server-sent events until its end, also when a caller leaves early', async () => {
    let held = true;
    standIn.respond = async (call, reply) => {
      if (isLarge(call)) await until(() => !held);
      return toyAnswer(call, reply);
    };
    const { body } = await sendList(test, toyList(20_000)).expect(202);
    const leaving = new AbortController();
    const gone = await fetch(`${test.url}/v1/batches/${body.id}/events`, { signal: leaving.signal });
    expect(gone.headers.get('content-type')).toMatch(/^text\/event-stream/);
    await gone.body?.getReader().read();
    leaving.abort();
    const events = createEventSource(`${test.url}/v1/batches/${body.id}/events`);
    const first = await events.next();
    expect(first).toMatchObject({ event: 'progress', data: { id: body.id, rows: { total: 20_000, labelled: 0 } } });
    held = false;
    const others = await events.rest();
    expect(others.pop()).toEqual({ event: 'end', data: { state: 'succeeded' } });
    expect(others.at(-1)?.data).toMatchObject({ state: 'succeeded', rows: { labelled: 20_000 } });
    const counts = [first, ...others].map((one) => one?.data.rows.labelled);
    expect(counts).toEqual(counts.toSorted((a, b) => a - b));
    const { id } = body;
    const after = await createEventSource(`${test.url}/v1/batches/${id}/events`).rest();
    expect(after.map(({ event }) => event)).toEqual(['progress', 'end']);
    // A browser connects again when the stream ends, unless it is told not to
    const back = (lastId: string) => test.http.get(`/v1/batches/${id}/events`).set('Last-Event-ID', lastId);
    await back('end').expect(204, '');
    expect((await back('x').expect(200)).text).toMatch(/^event: ?end$/m);
    expect(test.log().includes('unexpected error')).toBe(false);
  }, 60_000);

  it('holds up neither the end of the service, nor uses up its attempts by that', async () => {
    await using other = await startTestService({
      database,
      contract: toyContract(),
      modelServer: { ...standIn.address, url: `https://127.0.0.1:${gate.port}` },
    });
    gate.target = null;
    gate.drop();
    const { body } = await sendList(other, toyList(10)).expect(202);
    await untilState(other, body.id, 'waiting');
    const events = createEventSource(`${other.url}/v1/batches/${body.id}/events`);
    expect((await events.next())?.data.state).toBe('waiting');
    const startedAt = performance.now();
    await other.service[Symbol.asyncDispose]();
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    await events.rest();
  }, 60_000);
});

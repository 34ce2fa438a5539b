import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { databaseKinds } from './support/databases.ts';
import { fetchList, labelList, sendList, toyList, untilEnded, untilState } from './support/lists.ts';
import { type Call, type StandIn, startStandIn } from './support/stand-in-model-server.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { golden, toyContract, toyLabel } from './support/toy-model.ts';

const chunkRows = 4_096;

describe.each(await databaseKinds())('rows that the model server refuses, on %s', (database) => {
  let test: TestService;
  let standIn: StandIn;
  let toyAnswer: StandIn['respond'];
  beforeAll(async () => {
    standIn = await startStandIn();
    toyAnswer = standIn.respond;
    test = await startTestService({
      database,
      contract: toyContract(),
      modelServer: standIn.address,
      environment: { MODEL_SERVER_CONCURRENCY: '1' },
    });
  }, 60_000);
  afterAll(async () => {
    await test[Symbol.asyncDispose]();
    await standIn[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    standIn.calls.length = 0;
    standIn.respond = (call, reply) =>
      call.vectors.some(isBad) ? void call.response.writeHead(400).end('{}') : toyAnswer(call, reply);
  });

  const isBad = ([height]: readonly number[]) => (height as number) > 1_000;
  const listWith = (rows: number, isBadRow: (row: number) => boolean) =>
    toyList(rows)
      .split('\n')
      .map((line, i) => (i > 0 && isBadRow(i - 1) ? line.replace(/;\d+;/, ';99999;') : line))
      .join('\n');
  const callsWithRows = () => standIn.calls.filter(({ vectors }: Call) => vectors.length > golden).length;

  it.each([
    ['every row', () => true, 0],
    ['three of ten rows', (row: number) => row % 10 < 3, 140],
  ])(
    'are refused when they are %s of two hundred, and no other row is',
    async (_, isBadRow, labelled) => {
      const rows = 200;
      const ended = await labelList(test, listWith(rows, isBadRow));
      expect(ended).toMatchObject({
        state: labelled === 0 ? 'failed' : 'partially_succeeded',
        reason: null,
        rows: { total: rows, labelled, rejected: rows - labelled },
      });
      expect(ended.errors.map(({ code, rows: count }: { code: string; rows: number }) => [code, count])).toEqual([
        ['refused_by_model', rows - labelled],
      ]);
      expect(callsWithRows()).toBeLessThanOrEqual(2 * rows + 2);
    },
    60_000,
  );

  it('of a whole chunk take few calls; none is called refused by the model that was not asked for alone', async () => {
    // A good row among them, and the list goes on behind them
    const good = [5_000, ...Array.from({ length: 100 }, (_, i) => chunkRows + i)];
    const rows = chunkRows + 100;
    const ended = await labelList(
      test,
      listWith(rows, (row) => !good.includes(row)),
    );
    expect(ended).toMatchObject({ state: 'partially_succeeded', rows: { total: rows } });
    const alone = standIn.calls.filter(({ vectors }) => vectors.length === golden + 1).length;
    const byCode = Object.fromEntries(
      ended.errors.map(({ code, rows: count }: { code: string; rows: number }) => [code, count]),
    );
    expect(byCode['refused_by_model'] ?? 0).toBeLessThanOrEqual(alone);
    expect(byCode['refused_with_others']).toBeGreaterThan(0);
    expect(callsWithRows()).toBeLessThan(2_100);
    const rejected = (await fetchList(test, `${ended.id}/rejected`)).bytes.toString().trimEnd().split('\n').slice(1);
    expect(rejected).toHaveLength(ended.rows.rejected);
    expect(ended.rows.labelled + ended.rows.rejected).toBe(rows);
  }, 120_000);

  it('are not to blame when the model server refuses its golden rows too: the list waits', async () => {
    standIn.respond = (call) => void call.response.writeHead(400).end('{}');
    const { body } = await sendList(test, toyList(10)).expect(202);
    const waiting = await untilState(test, body.id, 'waiting');
    expect(waiting.reason).toBe('model_bad_answer');
    standIn.respond = toyAnswer;
    expect(await untilEnded(test, body.id)).toMatchObject({ state: 'succeeded', rows: { labelled: 10 } });
  }, 60_000);

  it('a fault of three lists alone holds no worker: another list goes on, and the model server is left alone', async () => {
    const nonsense = (call: Call) => call.vectors.length > golden + 900;
    standIn.respond = (call, reply) =>
      nonsense(call)
        ? reply(call.vectors.map((vector, i) => (i < golden ? toyLabel(vector) : 'no such label')))
        : toyAnswer(call, reply);
    const ids: string[] = [];
    for (let i = 0; i < 3; i += 1) ids.push((await sendList(test, toyList(1_000)).expect(202)).body.id);
    for (const id of ids) await untilState(test, id, 'waiting');
    expect(await labelList(test, toyList(5))).toMatchObject({ state: 'succeeded', rows: { labelled: 5 } });
    const before = standIn.calls.length;
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    expect(standIn.calls.length - before).toBeLessThan(20);
    standIn.respond = toyAnswer;
    for (const id of ids) expect(await untilEnded(test, id)).toMatchObject({ state: 'succeeded' });
  }, 90_000);
});

import { randomUUID } from 'node:crypto';
import { expect, describe, it } from '@jest/globals';
import { createBatchStore } from '../src/batches/batch-store.ts';
import { createChunkStore } from '../src/batches/chunk-store.ts';
import { createDatabase } from '../src/database/database.ts';
import { createTestDatabase, databaseKinds } from './support/databases.ts';
import { sendList, toyList, untilEnded, untilState } from './support/lists.ts';
import { startStandIn } from './support/stand-in-model-server.ts';
import { silentLogger, startTestService } from './support/test-service.ts';
import { golden, toyContract } from './support/toy-model.ts';

const kinds = await databaseKinds();
const piece = { body: Buffer.from('x'), firstLine: 2, firstRow: 0, lines: 1, rows: 1 };

describe.each(kinds)('the stores of lists on %s', (kind) => {
  async function open() {
    await using parts = new AsyncDisposableStack();
    const made = parts.use(await createTestDatabase(kind));
    const { DATABASE_URL: url = null, DATA_DIR: dataDir = '' } = made.environment;
    const database = createDatabase({ settings: { url, dataDir }, logger: silentLogger });
    parts.defer(() => database.close());
    await database.migrate();
    const owned = parts.move();
    const batches = createBatchStore(database.queries);
    const chunks = createChunkStore(database.queries);
    return { database, batches, chunks, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  }

  async function keep({ batches }: Pick<Awaited<ReturnType<typeof open>>, 'batches'>) {
    const id = randomUUID();
    await batches.create({ id, key: id, now: new Date(), silentSince: new Date(0) });
    await batches.addChunk(id, 0, piece);
    const plan = { kind: 'ndjson' as const, featureNames: ['height'] };
    const report = { decision: null, mapping: null };
    await batches.complete(id, { plan, report, hash: Buffer.from('h'), rows: 1 });
    return id;
  }

  it('leave a list that no contract fits as it is, whatever becomes of chunks in hand', async () => {
    await using stores = await open();
    const { batches, chunks } = stores;
    const id = await keep(stores);
    await chunks.take({ batchId: id, number: 0 }, 'one');
    await chunks.setWaiting(id, 'model_unavailable');
    await chunks.setWaiting(id, 'contract_changed');
    expect(await chunks.setWaiting(id, null)).toEqual({ isActive: true, isNew: false });
    expect(await chunks.setWaiting(id, 'model_unavailable')).toEqual({ isActive: true, isNew: false });
    expect((await batches.parked()).map((one) => one.id)).toEqual([id]);
    expect(await batches.resume(id)).toBe(true);
    expect(await batches.find(id)).toMatchObject({ state: 'pending', reason: null });
  }, 60_000);

  it('add a list up once it has ended, and read its chunks no more', async () => {
    await using stores = await open();
    const { database, batches, chunks } = stores;
    const id = await keep(stores);
    const errors = [{ field: 'row', column: null, code: 'refused_by_model', rows: 3, lines: [2] }];
    await database.run(
      'UPDATE batch_chunks SET done_at = now(), labelled = 4, rejected = 3, versions = $1, errors = $2',
      [JSON.stringify({ 7: 4 }), JSON.stringify(errors)],
    );
    const told = { rows: { labelled: 4, rejected: 3 }, modelVersions: { 7: 4 }, errors };
    expect(await batches.find(id)).toMatchObject(told);
    await batches.keepTotals(id);
    expect(await batches.withoutTotals(new Date(Date.now() + 60_000))).toEqual([]);
    await chunks.end(id, 0);
    expect(await batches.withoutTotals(new Date(Date.now() + 60_000))).toEqual([id]);
    await batches.keepTotals(id);
    expect(await batches.withoutTotals(new Date(Date.now() + 60_000))).toEqual([]);
    await database.run('UPDATE batch_chunks SET labelled = 0, rejected = 0, versions = NULL, errors = $1', [null]);
    expect(await batches.find(id)).toMatchObject(told);
    expect((await batches.list({ limit: 5 }))[0]).toMatchObject(told);
  }, 60_000);
});

(kinds.includes('PostgreSQL') ? it : it.skip)(
  'a list that is worked on and has no chunk in the queue is queued anew',
  async () => {
    await using database = await createTestDatabase('PostgreSQL');
    await using standIn = await startStandIn();
    const options = { on: database, contract: toyContract(), modelServer: standIn.address };
    const toyAnswer = standIn.respond;
    const first = await startTestService(options);
    standIn.respond = async (call, reply) => {
      if (call.vectors.length <= golden + 40) return toyAnswer(call, reply);
      call.request.socket.destroy();
    };
    const { body } = await sendList(first, toyList(100)).expect(202);
    await untilState(first, body.id, 'waiting');
    await first[Symbol.asyncDispose]();
    const { DATABASE_URL: url = null } = database.environment;
    const looking = createDatabase({ settings: { url, dataDir: '' }, logger: silentLogger });
    await looking.run(`UPDATE customer_labels_jobs.job SET state = 'completed' WHERE name = $1`, ['label-chunk']);
    await looking.close();
    standIn.respond = toyAnswer;
    await using second = await startTestService(options);
    expect(await untilEnded(second, body.id)).toMatchObject({ state: 'succeeded', rows: { labelled: 100 } });
    expect(second.log().match(/queued anew/g)).toHaveLength(1);
  },
  60_000,
);

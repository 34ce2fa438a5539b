import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { createLastingDatabase, databaseKinds } from './support/databases.ts';
import { type StandIn, startStandIn } from './support/stand-in-model-server.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { toyContract, toyCustomer } from './support/toy-model.ts';

const dayMs = 86_400_000;
const unfaked = [
  'hrtime',
  'nextTick',
  'performance',
  'queueMicrotask',
  'setImmediate',
  'clearImmediate',
  'setInterval',
  'clearInterval',
  'setTimeout',
  'clearTimeout',
] as const;

/** From here on it is so many days later, for the service's clock alone; timers go on as ever. */
const passDays = (days: number) => jest.setSystemTime(Date.now() + days * dayMs);

describe.each(await databaseKinds())('freshness on %s', (database) => {
  let modelServer: StandIn;
  let test: TestService;
  beforeEach(async () => {
    jest.useFakeTimers({ doNotFake: [...unfaked], now: Date.now() });
    modelServer = await startStandIn();
    test = await start({ MAX_LABEL_AGE_DAYS: '30' });
  });
  afterEach(async () => {
    await test[Symbol.asyncDispose]();
    await modelServer[Symbol.asyncDispose]();
    jest.useRealTimers();
  });

  const start = (environment: Record<string, string>) =>
    startTestService({ database, contract: toyContract(), modelServer: modelServer.address, environment });
  const label = (id: string, customer = toyCustomer()) =>
    test.http.post(`/v1/customers/${id}/label`).send(customer).expect(200);
  const freshnessOf = async (id: string) =>
    (await test.http.get(`/v1/customers/${id}/label`).expect(200)).body.freshness;
  const listed = async (query: string) =>
    (await test.http.get(`/v1/labels?${query}`).expect(200)).body.labels.map(
      ({ customerId }: { customerId: string }) => customerId,
    );

  it('makes a label too old by when it was confirmed, in the answer, the list and its filter', async () => {
    await label('kept');
    await label('confirmed');
    passDays(29);
    await label('confirmed');
    passDays(0.9);
    expect(await freshnessOf('kept')).toEqual({ stale: false });
    expect(await listed('stale=true')).toEqual([]);
    expect(await listed('stale=false')).toEqual(['confirmed', 'kept']);
    passDays(0.2);
    await label('new');
    expect(await freshnessOf('kept')).toEqual({ stale: true, reason: 'too_old' });
    expect(await freshnessOf('confirmed')).toEqual({ stale: false });
    expect(await listed('stale=true')).toEqual(['kept']);
    expect(await listed('stale=false')).toEqual(['confirmed', 'new']);
    const { body } = await test.http.get('/v1/labels?stale=true').expect(200);
    expect(body.labels[0].freshness).toEqual({ stale: true, reason: 'too_old' });
    const history = await test.http.get('/v1/customers/kept/labels').expect(200);
    expect(history.body.labels[0].freshness).toEqual({ stale: true, reason: 'too_old' });
    expect((await label('kept')).body.freshness).toEqual({ stale: false });
    expect(await listed('stale=true')).toEqual([]);
  });

  it('says too old also while the model server is away', async () => {
    await label('kept');
    passDays(31);
    modelServer.respond = ({ response }) => void response.writeHead(503).end();
    await test.http.post('/v1/customers/other/label').send(toyCustomer()).expect(503);
    expect(await freshnessOf('kept')).toEqual({ stale: true, reason: 'too_old' });
    expect(await listed('stale=true')).toEqual(['kept']);
  });
});

it.each(await databaseKinds())('says superseded before too old, on %s', async (kind) => {
  jest.useFakeTimers({ doNotFake: [...unfaked], now: Date.now() });
  try {
    await using store = await createLastingDatabase(kind);
    await using modelServer = await startStandIn();
    const start = (version: string) => {
      const contract = toyContract();
      contract.model.version = version;
      const environment = { ...store.environment, MAX_LABEL_AGE_DAYS: '30' };
      return startTestService({ contract, modelServer: modelServer.address, environment });
    };
    const label = (test: TestService, id: string) =>
      test.http.post(`/v1/customers/${id}/label`).send(toyCustomer()).expect(200);
    {
      await using before = await start('7');
      await label(before, 'both');
      passDays(31);
      await label(before, 'superseded');
      await label(before, 'renewed');
    }
    await using test = await start('8');
    await label(test, 'renewed');
    const stale = async (is: boolean) =>
      (await test.http.get(`/v1/labels?stale=${is}`).expect(200)).body.labels.map(
        (one: { customerId: string; freshness: { reason?: string } }) => [one.customerId, one.freshness.reason],
      );
    const superseded = [
      ['both', 'model_superseded'],
      ['superseded', 'model_superseded'],
    ];
    expect(await stale(true)).toEqual(superseded);
    expect(await stale(false)).toEqual([['renewed', undefined]]);
    passDays(31);
    expect(await stale(true)).toEqual([superseded[0], ['renewed', 'too_old'], superseded[1]]);
    expect(await stale(false)).toEqual([]);
  } finally {
    jest.useRealTimers();
  }
});

it.each(await databaseKinds())(
  'superseded labels stay so, and are not taken for none, in an outage, on %s',
  async (kind) => {
    await using store = await createLastingDatabase(kind);
    await using modelServer = await startStandIn();
    const start = (version: string) => {
      const contract = toyContract();
      contract.model.version = version;
      return startTestService({ contract, modelServer: modelServer.address, environment: store.environment });
    };
    const relabel = (test: TestService) =>
      test.http.post('/v1/batches').set('Idempotency-Key', 'again').send({ from: 'stored' });
    const answer = modelServer.respond;
    const refuse: typeof answer = ({ response }) => void response.writeHead(503).end();
    const staleOnes = async (test: TestService) =>
      (await test.http.get('/v1/labels?stale=true').expect(200)).body.labels.map(
        (one: { customerId: string; freshness: object }) => [one.customerId, one.freshness],
      );
    const superseded = [['C1', { stale: true, reason: 'model_superseded' }]];
    {
      await using before = await start('7');
      await before.http.post('/v1/customers/C1/label').send(toyCustomer()).expect(200);
    }
    {
      await using test = await start('8');
      await test.http.post('/v1/customers/C2/label').send(toyCustomer()).expect(200);
      modelServer.respond = refuse;
      await test.http.post('/v1/customers/C3/label').send(toyCustomer()).expect(503);
      expect(await staleOnes(test)).toEqual(superseded);
      expect((await relabel(test).expect(503)).body.code).toBe('model_unavailable');
    }
    await using test = await start('8');
    expect(await staleOnes(test)).toEqual(superseded);
    expect((await relabel(test).expect(503)).headers['retry-after']).toMatch(/^\d+$/);
    modelServer.respond = answer;
    const { body } = await relabel(test).expect(202);
    expect(body.rows.total).toBe(1);
  },
);

it('makes no label stale by age when no age is set', async () => {
  jest.useFakeTimers({ doNotFake: [...unfaked], now: Date.now() });
  try {
    await using modelServer = await startStandIn();
    await using test = await startTestService({ contract: toyContract(), modelServer: modelServer.address });
    await test.http.post('/v1/customers/C1/label').send(toyCustomer()).expect(200);
    passDays(20_000);
    const { body } = await test.http.get('/v1/labels?stale=false').expect(200);
    expect(body.labels).toMatchObject([{ customerId: 'C1', freshness: { stale: false } }]);
  } finally {
    jest.useRealTimers();
  }
});

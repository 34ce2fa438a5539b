import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createDatabase, type Database } from '../src/database/database.ts';
import { createLabelQueryStore } from '../src/labels/label-query-store.ts';
import { createLabelStore } from '../src/labels/label-store.ts';
import type { Labelling } from '../src/labels/labelling.ts';
import { createTestDatabase, databaseKinds, type TestDatabase } from './support/databases.ts';
import { silentLogger } from './support/test-service.ts';

/** Seconds into the test at which a customer's features came. */
const at = (seconds: number) => new Date(Date.UTC(2026, 10, 24, 12, 0, seconds));

function labelling(customerId: string, seconds: number, probability: number | null, other: Partial<Labelling> = {}) {
  return {
    customerId,
    inputs: [1, 2, 3],
    scale: 'raw',
    contractId: 1,
    label: 'high',
    modelName: 'toy',
    modelVersion: '7',
    source: 'model-server',
    probability,
    receivedAt: at(seconds),
    labelledAt: at(seconds),
    ...other,
  } satisfies Labelling;
}

describe.each(await databaseKinds())('the probability of a labelling that is repeated, on %s', (kind) => {
  let place: TestDatabase;
  let database: Database;
  beforeAll(async () => {
    place = await createTestDatabase(kind);
    const { DATABASE_URL: url = null, DATA_DIR: dataDir = '' } = place.environment;
    database = createDatabase({ settings: { url, dataDir }, logger: silentLogger });
    await database.migrate();
  });
  afterAll(async () => {
    await database.close();
    await place[Symbol.asyncDispose]();
  });

  /** What one batch after another leaves: the answers to the last, and the customer's labels, newest first. */
  async function afterWriting(id: string, ...batches: Labelling[][]) {
    const store = createLabelStore(database.queries);
    const answers: (number | null)[][] = [];
    for (const batch of batches) answers.push((await store.write(batch)).map(({ probability }) => probability));
    const kept = await createLabelQueryStore(database.queries).history(id, { limit: 10 });
    return { answered: answers.at(-1), kept: kept.map(({ probability }) => probability) };
  }

  const sequences: [string, (number | null)[], number | null][] = [
    ['a later null erases nothing', [0.7, null], 0.7],
    ['a later one replaces a null', [null, 0.7], 0.7],
    ['nulls around it erase nothing', [null, 0.7, null], 0.7],
    ['the last known one counts', [0.7, null, 0.8, null], 0.8],
    ['what nobody knew stays unknown', [null, null], null],
  ];

  describe.each(sequences)('%s', (what, given, expected) => {
    it('within one batch', async () => {
      const id = `${what}, together`;
      const batch = given.map((probability, i) => labelling(id, i, probability));
      expect(await afterWriting(id, batch)).toEqual({ answered: given.map(() => expected), kept: [expected] });
    });

    it('in one batch after another', async () => {
      const id = `${what}, apart`;
      const batches = given.map((probability, i) => [labelling(id, i, probability)]);
      expect(await afterWriting(id, ...batches)).toEqual({ answered: [expected], kept: [expected] });
    });
  });

  it('a repeat whose features came earlier fills in what is unknown, and replaces nothing', async () => {
    const late = (id: string, known: number | null, earlier: number | null) =>
      afterWriting(id, [labelling(id, 5, known)], [labelling(id, 1, earlier)]);
    expect(await late('late-1', null, 0.7)).toEqual({ answered: [0.7], kept: [0.7] });
    expect(await late('late-2', 0.8, 0.7)).toEqual({ answered: [0.8], kept: [0.8] });
    expect(await late('late-3', 0.8, null)).toEqual({ answered: [0.8], kept: [0.8] });
  });

  it.each<[string, Partial<Labelling>]>([
    ['inputs', { inputs: [1, 2, 4] }],
    ['scale', { scale: 'standardized' }],
    ['label', { label: 'low' }],
    ['model', { modelName: 'other' }],
    ['version', { modelVersion: '8' }],
    ['source', { source: 'embedded' }],
  ])('never passes to a labelling with another %s', async (what, other) => {
    const [together, apart] = [`${what}, together`, `${what}, apart`];
    const both = (id: string) => [labelling(id, 1, 0.7), labelling(id, 2, null, other)] as const;
    expect(await afterWriting(together, [...both(together)])).toEqual({ answered: [0.7, null], kept: [null, 0.7] });
    const [first, second] = both(apart);
    expect(await afterWriting(apart, [first], [second])).toEqual({ answered: [null], kept: [null, 0.7] });
  });
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Response } from 'supertest';
import { labelSorts } from '../src/labels/label-query-store.ts';
import { databaseKinds } from './support/databases.ts';
import { type StandIn, startStandIn } from './support/stand-in-model-server.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { toyContract, toyLabel } from './support/toy-model.ts';

const codes = ['low', 'middle', 'high'];

/** The label's own probability is one of a few, so that many customers have the same one. */
function probabilities(vector: number[]): number[] {
  const own = 0.6 + (Math.round(Math.abs(vector[0] as number) * 10) % 4) / 10;
  return codes.map((code) => (code === toyLabel(vector) ? own : (1 - own) / 2));
}

interface Listed {
  customerId: string;
  probability?: number;
  label: string;
}

describe.each(await databaseKinds())('labels by probability on %s', (database) => {
  let test: TestService;
  let modelServer: StandIn;
  let listed: Listed[];
  beforeAll(async () => {
    modelServer = await startStandIn();
    test = await startTestService({ database, contract: toyContract(), modelServer: modelServer.address });
    const label = (from: number, to: number) =>
      test.http
        .post('/v1/labels')
        .send({ customers: customers.slice(from, to) })
        .expect(200);
    modelServer.respond = ({ vectors }, reply) => reply(vectors.map(probabilities));
    await label(0, 40);
    modelServer.respond = ({ vectors }, reply) => reply(vectors.map(toyLabel));
    await label(40, 60);
    listed = (await test.http.get('/v1/labels?limit=500').expect(200)).body.labels as Listed[];
  });
  afterAll(async () => {
    await test[Symbol.asyncDispose]();
    await modelServer[Symbol.asyncDispose]();
  });

  // Ids stand in no order of probability, nor of who has one.
  const customers = Array.from({ length: 60 }, (_, i) => ({
    id: `C${String((i * 37) % 60).padStart(2, '0')}`,
    features: { height: 150 + ((i * 17) % 41), visits: (i * 5) % 9, vip: i % 2 },
  }));

  const nextPage = (query: string, cursor: string | null) =>
    test.http.get(`/v1/labels?${query}${cursor === null ? '' : `&cursor=${cursor}`}`);

  async function pages(query: string): Promise<string[]> {
    const seen: string[] = [];
    for (let cursor: string | null = null; ;) {
      const { body }: Response = await nextPage(query, cursor).expect(200);
      seen.push(...body.labels.map(({ customerId }: Listed) => customerId));
      cursor = body.next;
      if (cursor === null) return seen;
    }
  }

  /** By probability and then by id, both in one direction; then, by id, those that have none. */
  function inOrder(sort: string, labels: Listed[]): string[] {
    const turn = sort.startsWith('-') ? -1 : 1;
    const by = (one: Listed, other: Listed) =>
      Number(one.probability === undefined) - Number(other.probability === undefined) ||
      turn * ((one.probability ?? 0) - (other.probability ?? 0)) ||
      turn * (one.customerId < other.customerId ? -1 : 1);
    return labels.toSorted(by).map(({ customerId }) => customerId);
  }

  it('has labels to sort: with a probability, with the same one, and without', () => {
    expect(listed).toHaveLength(60);
    const known = listed.flatMap(({ probability }) => (probability === undefined ? [] : [probability]));
    expect(known).toHaveLength(40);
    expect(new Set(known).size).toBeGreaterThan(5);
    expect(new Set(known).size).toBeLessThan(20);
  });

  describe.each(['probability', '-probability'])('sort=%s', (sort) => {
    it.each([1, 3, 20, 40, 59, 60, 500])('gives each once, in pages of %s, those without one last', async (limit) => {
      expect(await pages(`sort=${sort}&limit=${limit}`)).toEqual(inOrder(sort, listed));
    });

    it('goes with the filters', async () => {
      const high = listed.filter(({ label }) => label === 'high');
      expect(high.length).toBeGreaterThan(5);
      expect(await pages(`sort=${sort}&label=high&limit=4`)).toEqual(inOrder(sort, high));
      const chosen = listed.filter((_label, i) => i % 4 === 0);
      const ids = chosen.map(({ customerId }) => customerId).join(',');
      expect(await pages(`sort=${sort}&customerIds=${ids}&limit=4`)).toEqual(inOrder(sort, chosen));
    });
  });

  it('answers a repeat with the probability that is kept, though the model server gave none', async () => {
    const known = listed.find(({ probability }) => probability !== undefined);
    const { id, ...body } = customers.find(({ id }) => id === known?.customerId) ?? {};
    const answer = await test.http.post(`/v1/customers/${id}/label`).send(body).expect(200);
    expect(answer.body).toMatchObject({ customerId: id, probability: known?.probability });
    const kept = await test.http.get(`/v1/customers/${id}/label`).expect(200);
    expect(kept.body).toEqual(answer.body);
  });

  it('goes on from a customer with the longest id', async () => {
    const id = '😀'.repeat(128);
    const body = { features: customers[0]?.features };
    await test.http
      .post(`/v1/customers/${encodeURIComponent(id)}/label`)
      .send(body)
      .expect(200);
    const query = 'sort=probability&limit=1';
    const only = `customerIds=${encodeURIComponent(id)}`;
    const { body: page } = await nextPage(`${query}&${only}`, null).expect(200);
    expect(page.labels).toHaveLength(1);
    await nextPage(query, page.next).expect(200);
  });

  it('refuses a cursor of another sort', async () => {
    for (const sort of labelSorts) {
      const first = await nextPage(`sort=${sort}&limit=50`, null).expect(200);
      for (const other of labelSorts) {
        const { status, body } = await nextPage(`sort=${other}`, first.body.next);
        expect([sort, other, status]).toEqual([sort, other, sort === other ? 200 : 422]);
        if (sort !== other)
          expect(body).toMatchObject({ code: 'invalid_request', errors: [{ pointer: '#/query/cursor' }] });
      }
    }
  });

  it('takes a cursor without a sort for none of its own', async () => {
    const place = { labelledAt: '2026-11-24T00:00:00Z', customerId: 'C01' };
    await nextPage('', Buffer.from(JSON.stringify(place)).toString('base64url')).expect(422);
  });
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Response } from 'supertest';
import { databaseKinds } from './support/databases.ts';
import { seedCustomers } from './support/seed.ts';
import { startTestService, type TestService } from './support/test-service.ts';

describe.each(await databaseKinds())('labels on %s', (database) => {
  let test: TestService;
  beforeAll(async () => {
    test = await startTestService({ database });
  });
  afterAll(async () => {
    await test[Symbol.asyncDispose]();
  });

  const { stays, leaves } = seedCustomers;

  it('labels a customer from raw features by name, and keeps the label', async () => {
    const answer = await test.http
      .post(`/v1/customers/${leaves.id}/label`)
      .send({ features: leaves.byName })
      .expect(200);
    expect(answer.body).toMatchObject({
      customerId: leaves.id,
      label: 1,
      name: 'leaves',
      text: 'Leaves',
      model: test.contract.model.version === null ? {} : { name: 'rfc_tune', version: test.contract.model.version },
      source: 'embedded',
      freshness: { stale: false },
    });
    const kept = await test.http.get(`/v1/customers/${leaves.id}/label`).expect(200);
    expect(kept.body).toEqual(answer.body);
  });

  it("labels the model's own vector, kept as given", async () => {
    const body = { features: stays.standardized, scale: 'standardized' };
    const answer = await test.http.post('/v1/customers/standardized/label').send(body).expect(200);
    expect(answer.body).toMatchObject({ label: 0, name: 'stays' });
  });

  it('takes raw features in order when the scale is said', async () => {
    const body = { features: leaves.raw, scale: 'raw' };
    const answer = await test.http.post('/v1/customers/ordered/label').send(body).expect(200);
    expect(answer.body.label).toBe(1);
  });

  it('speaks the language of the caller', async () => {
    const body = { features: leaves.byName };
    const spanish = await test.http.post('/v1/customers/es/label').set('Accept-Language', 'es-MX').send(body);
    expect(spanish.body.text).toBe('Se va');
    expect(spanish.headers['content-language']).toBe('es');
  });

  it('warns of values that the model never saw, and labels all the same', async () => {
    const body = { features: { ...leaves.byName, [test.contract.features[0]?.name as string]: 9_000 } };
    const answer = await test.http.post('/v1/customers/odd/label').send(body).expect(200);
    expect(answer.body.warnings).toEqual([
      expect.objectContaining({
        pointer: `#/features/${test.contract.features[0]?.name}`,
        code: 'outside_training_range',
      }),
    ]);
  });

  it('says 404 for a customer without a label', async () => {
    const answer = await test.http.get('/v1/customers/nobody/label').expect(404);
    expect(answer.body).toMatchObject({ code: 'label_not_found', status: 404 });
  });

  it.each([
    ['percent-encoded', 'Peña, S.A./2', 200],
    ['as long as may be', 'x'.repeat(128), 200],
    ['longer', 'x'.repeat(129), 422],
    ['with a NUL', 'a\0b', 422],
    ['with a line break', 'a\nb', 422],
  ])('takes or refuses a customer id %s', async (_what, id, status) => {
    const body = { features: leaves.byName };
    const answer = await test.http.post(`/v1/customers/${encodeURIComponent(id)}/label`).send(body);
    expect(answer.status).toBe(status);
    if (status === 200) {
      expect(answer.body.customerId).toBe(id);
      await test.http.get(`/v1/customers/${encodeURIComponent(id)}/label`).expect(200);
    }
  });

  it('refuses an id that is not well-formed percent-encoding with 400', async () => {
    await test.http.post('/v1/customers/%E0%A4%A/label').send({ features: leaves.byName }).expect(400);
  });

  it('keeps a repeat as a confirmation and a change as history, newest first', async () => {
    const label = (features: object) => test.http.post('/v1/customers/changing/label').send({ features }).expect(200);
    const first = await label(stays.byName);
    const again = await label(stays.byName);
    const changed = await label(leaves.byName);
    expect(again.body.labelledAt).toBe(first.body.labelledAt);
    expect(Date.parse(again.body.confirmedAt)).toBeGreaterThanOrEqual(Date.parse(first.body.confirmedAt));
    const { body } = await test.http.get('/v1/customers/changing/labels').expect(200);
    expect(body.labels.map((one: { label: number }) => one.label)).toEqual([1, 0]);
    expect(body.labels[0]).toEqual({ ...changed.body, changed: 'inputs' });
    expect(body.labels[1].changed).toBeNull();
    expect(body.next).toBeNull();
  });

  it('pages through a history', async () => {
    for (const minutes of [1, 2, 3, 4, 5]) {
      const features = { ...stays.byName, total_day_minutes: minutes };
      await test.http.post('/v1/customers/paged/label').send({ features }).expect(200);
    }
    const seen: string[] = [];
    let next: string | null = '';
    while (next !== null) {
      const page: Response = await test.http
        .get(`/v1/customers/paged/labels?limit=2${next && `&cursor=${next}`}`)
        .expect(200);
      seen.push(...page.body.labels.map((label: { labelledAt: string }) => label.labelledAt));
      next = page.body.next;
    }
    expect(seen).toHaveLength(5);
    expect(seen).toEqual(seen.toSorted().toReversed());
  });

  it('labels many: a verdict for each, in order, and one bad row never costs the others', async () => {
    const customers = [
      { id: 'm1', features: leaves.byName },
      { id: 'm2', features: { ...leaves.byName, total_day_minutes: 'many' } },
      { id: 'm3', features: stays.standardized, scale: 'standardized' },
      { id: '', features: stays.byName },
      null,
      { id: 'm6', features: stays.byName, colour: 'red' },
    ];
    const { body } = await test.http.post('/v1/labels').send({ customers }).expect(200);
    expect(body).toMatchObject({ labelled: 2, rejected: 4 });
    expect(body.labels[0]).toMatchObject({ customerId: 'm1', label: 1 });
    expect(body.labels[1]).toMatchObject({
      customerId: 'm2',
      error: {
        code: 'invalid_features',
        errors: [{ pointer: '#/customers/1/features/total_day_minutes', code: 'not_a_number' }],
      },
    });
    expect(body.labels[2]).toMatchObject({ customerId: 'm3', label: 0 });
    expect(body.labels[3].error.errors[0]).toMatchObject({ pointer: '#/customers/3/id', code: 'invalid_customer_id' });
    expect(body.labels[4].error.errors[0]).toMatchObject({ pointer: '#/customers/4', code: 'wrong_type' });
    expect(body.labels[5].error.errors[0]).toMatchObject({ pointer: '#/customers/5/colour', code: 'unknown_field' });
    await test.http.get('/v1/customers/m2/label').expect(404);
    await test.http.get('/v1/customers/m6/label').expect(404);
  });

  it('labels the same customer twice in one list: both answered, the later one current', async () => {
    const customers = [
      { id: 'twice', features: leaves.byName },
      { id: 'twice', features: stays.byName },
      { id: 'twice', features: leaves.byName },
      { id: 'twice', features: stays.byName },
    ];
    const { body } = await test.http.post('/v1/labels').send({ customers }).expect(200);
    expect(body.labels.map((one: { label: number }) => one.label)).toEqual([1, 0, 1, 0]);
    const current = await test.http.get('/v1/customers/twice/label').expect(200);
    expect(current.body.label).toBe(0);
    const history = await test.http.get('/v1/customers/twice/labels').expect(200);
    expect(history.body.labels).toHaveLength(4);
  });

  it('takes a thousand customers at once, and no more', async () => {
    const customers = Array.from({ length: 1_000 }, (_, i) => ({
      id: `k${i}`,
      features: i % 2 ? leaves.raw : stays.raw,
      scale: 'raw',
    }));
    const { body } = await test.http.post('/v1/labels').send({ customers }).expect(200);
    expect(body.labelled).toBe(1_000);
    expect(body.labels.every((one: { label: number }, i: number) => one.label === i % 2)).toBe(true);
    const tooMany = await test.http.post('/v1/labels').send({ customers: [...customers, customers[0]] });
    expect(tooMany.status).toBe(413);
    expect(tooMany.body.code).toBe('too_many_customers');
  });

  it('lists current labels: by customer, label, version and time, in pages', async () => {
    const ids = ['k1', 'k2', 'k3', 'k999'];
    const chosen = await test.http.get(`/v1/labels?customerIds=${ids.join(',')}`).expect(200);
    expect(chosen.body.labels.map((label: { customerId: string }) => label.customerId)).toEqual(ids);

    const leaving = await test.http.get('/v1/labels?label=leaves&limit=500').expect(200);
    expect(leaving.body.labels.every((label: { label: number }) => label.label === 1)).toBe(true);

    const seen = new Set<string>();
    let next: string | null = '';
    while (next !== null) {
      const page: Response = await test.http
        .get(`/v1/labels?sort=-labelledAt&limit=300${next && `&cursor=${next}`}`)
        .expect(200);
      for (const label of page.body.labels as { customerId: string }[]) {
        expect(seen.has(label.customerId)).toBe(false);
        seen.add(label.customerId);
      }
      next = page.body.next;
    }
    expect(seen.size).toBeGreaterThan(1_000);

    const none = await test.http.get('/v1/labels?version=none-such').expect(200);
    expect(none.body.labels).toEqual([]);
    const future = await test.http.get('/v1/labels?since=2100-01-01T00:00:00Z').expect(200);
    expect(future.body.labels).toEqual([]);
    const fresh = await test.http.get('/v1/labels?stale=true').expect(200);
    expect(fresh.body.labels).toEqual([]);
  });

  it.each([
    ['limit=0', 'limit'],
    ['limit=abc', 'limit'],
    ['limit=1&limit=2', 'limit'],
    ['sort=colour', 'sort'],
    ['stale=yes', 'stale'],
    ['since=yesterday', 'since'],
    ['colour=red', 'colour'],
    ['cursor=rubbish', 'cursor'],
    ['label=nonsense', 'label'],
  ])('refuses the query %s and says where', async (query, parameter) => {
    const { body } = await test.http.get(`/v1/labels?${query}`).expect(422);
    expect(body.code).toBe('invalid_request');
    expect(body.errors[0].pointer).toBe(`#/query/${parameter}`);
  });
});

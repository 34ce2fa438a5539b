import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mayActAs, type Role, roles } from '../src/access/roles.ts';
import { routePolicies } from '../src/access/route-policies.ts';
import { databaseKinds } from './support/databases.ts';
import { startStandIn, type StandIn } from './support/stand-in-model-server.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { toyContract, toyCustomer } from './support/toy-model.ts';

describe.each(await databaseKinds())('API keys on %s', (database) => {
  let standIn: StandIn;
  let test: TestService;
  const keys = {} as Record<Role, string>;
  beforeAll(async () => {
    standIn = await startStandIn();
    test = await startTestService({
      database,
      contract: toyContract(),
      modelServer: standIn.address,
      environment: { ACCESS: 'own' },
    });
    for (const role of roles) keys[role] = (await test.service.keys.create({ name: `a ${role}`, role })).key;
  });
  afterAll(async () => {
    await test[Symbol.asyncDispose]();
    await standIn[Symbol.asyncDispose]();
  });

  it('gives every route a policy, and names no route that is not there', () => {
    const served = test.service.routes.map((route) => `${route.method.toUpperCase()} ${route.path}`);
    expect(Object.keys(routePolicies).sort()).toEqual(served.sort());
  });

  it('lets in exactly the roles of the table, route by route', async () => {
    for (const [route, policy] of Object.entries(routePolicies)) {
      const [method, path] = route.split(' ') as [string, string];
      const ask = (headers: Record<string, string>) =>
        fetch(test.url + path.replace(/:\w+/, 'nobody'), { method, headers }).then(async (answer) => {
          await answer.arrayBuffer();
          return answer.status;
        });
      const open = policy === 'everybody';
      expect([route, await ask({})]).toEqual([route, open ? 200 : 401]);
      expect([route, await ask({ Authorization: 'Bearer cl_wrong' })]).toEqual([route, open ? 200 : 401]);
      for (const role of roles) {
        const status = await ask({ 'X-API-Key': keys[role] });
        const allowed = open || mayActAs(role, policy);
        expect([route, role, status === 403]).toEqual([route, role, !allowed]);
      }
    }
  });

  it('takes a key as a bearer token or in X-API-Key, of any length, and refuses a revoked one at once', async () => {
    const { key, description } = await test.service.keys.create({ name: 'short-lived', role: 'reader' });
    const label = (headers: Record<string, string>) =>
      test.http.post('/v1/customers/C1/label').set(headers).send(toyCustomer());
    await label({ Authorization: `Bearer ${key}` }).expect(200);
    await label({ Authorization: `bearer ${key}` }).expect(200);
    await label({ 'X-API-Key': key }).expect(200);
    for (const wrong of [key.slice(1), `${key}x`, 'x', 'x'.repeat(4_000)])
      await label({ 'X-API-Key': wrong }).expect(401).expect('WWW-Authenticate', 'Bearer');
    await test.http.delete(`/v1/keys/${description.id}`).set('X-API-Key', keys.admin).expect(204);
    await label({ 'X-API-Key': key }).expect(401);
  });

  it('makes, lists and revokes keys over HTTP; a key is shown once', async () => {
    const admin = { 'X-API-Key': keys.admin };
    const made = await test.http.post('/v1/keys').set(admin).send({ name: 'erp', role: 'reader' }).expect(201);
    expect(made.body.key).toMatch(/^cl_[\w-]{43}$/);
    const { body, text } = await test.http.get('/v1/keys').set(admin).expect(200);
    expect(body.keys).toContainEqual(
      expect.objectContaining({ id: made.body.id, name: 'erp', role: 'reader', revokedAt: null }),
    );
    expect(text).not.toContain(made.body.key);
    expect(text).not.toContain('digest');
    await test.http.delete('/v1/keys/none-such').set(admin).expect(404);
    const wrong = await test.http.post('/v1/keys').set(admin).send({ name: '', role: 'king', more: 1 }).expect(422);
    expect(wrong.body.errors).toHaveLength(3);
  });

  it('remembers when a key was last used', async () => {
    const used = (await test.service.keys.list()).find(({ name }) => name === 'a reader');
    expect(Math.abs(Number(used?.lastUsedAt) - Date.now())).toBeLessThan(60_000);
  });

  it('puts no key, feature, customer or address in the log', async () => {
    const canary = 'canary-7391';
    await test.http
      .post(`/v1/customers/${canary}-id/label?q=${canary}`)
      .set({ 'X-API-Key': keys.reader, 'X-Canary': canary, 'User-Agent': canary, Cookie: canary })
      .send({ features: { height: 173.19, visits: 2, vip: 1, [`${canary}-feature`]: 1 } });
    await test.http.post(`/v1/customers/${canary}/label`).set('X-API-Key', `${canary}-key`).send({});
    standIn.respond = ({ response }) => void response.writeHead(500).end(canary);
    const failed = await test.http
      .post(`/v1/customers/${canary}/label`)
      .set('X-API-Key', keys.reader)
      .send({ features: { height: 173.19, visits: 2, vip: 1 } });
    expect(failed.status).toBe(502);
    expect(failed.text).not.toContain(canary);
    const metrics = await test.http.get('/metrics').set('X-API-Key', keys.ops).expect(200);
    expect(metrics.text).not.toContain(canary);
    expect(test.log()).toContain('/v1/customers/:customerId/label');
    expect(test.log()).not.toMatch(/canary|173\.19|cl_/);
  });
});

it('answers browsers of listed origins only', async () => {
  await using test = await startTestService({ environment: { CORS_ORIGINS: 'https://erp.example' } });
  const ask = (origin: string) => test.http.get('/health').set('Origin', origin);
  expect((await ask('https://erp.example')).headers['access-control-allow-origin']).toBe('https://erp.example');
  expect((await ask('https://elsewhere.example')).headers['access-control-allow-origin']).toBeUndefined();
  const preflight = await test.http
    .options('/v1/labels')
    .set({ Origin: 'https://erp.example', 'Access-Control-Request-Method': 'POST' });
  expect(preflight.status).toBe(204);
});

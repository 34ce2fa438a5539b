import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createMetrics } from '../src/operations/metrics.ts';
import { createService } from '../src/service.ts';
import { readSettings } from '../src/settings.ts';
import { freePort } from './support/real-mlflow.ts';
import { seedCustomers } from './support/seed.ts';
import { silentLogger, startTestService, type TestService } from './support/test-service.ts';

let test: TestService;
beforeAll(async () => {
  test = await startTestService();
});
afterAll(async () => {
  await test[Symbol.asyncDispose]();
});

it('says it is alive and ready; the healthy word stands once, whatever is accepted', async () => {
  await test.http.get('/health').expect(200, { alive: true });
  const ready = await test.http.get('/ready').set('Accept', 'text/html').expect(200);
  expect(ready.text).toMatch(/^\{"overall":"pass","checks":\{/);
  expect(ready.text.match(/pass|warn|fail/g)).toEqual(['pass']);
});

it('describes the model, its contract and how it is proved', async () => {
  const { body } = await test.http.get('/v1/model').expect(200);
  expect(body).toMatchObject({ name: 'rfc_tune', source: 'embedded', guard: { state: 'proved', reason: null } });
  expect(body.contract.features).toHaveLength(12);
});

it('counts requests by route and labels by name, never by customer', async () => {
  await test.http.post('/v1/customers/metric-canary/label').send({ features: seedCustomers.leaves.byName }).expect(200);
  const { text, headers } = await test.http.get('/metrics').expect(200);
  expect(headers['content-type']).toMatch(/^text\/plain/);
  expect(text).toMatch(/customer_labels_labels_total\{label="1",source="embedded",model_version="\w+"\} 1\n/);
  expect(text).toMatch(
    /http_request_duration_seconds_count\{method="POST",route="\/v1\/customers\/:customerId\/label",status="200"\} 1/,
  );
  expect(text).toContain('customer_labels_model_proved 1');
  expect(text).toContain('customer_labels_model_guard{status="proved"} 1\n');
  expect(text.match(/customer_labels_model_guard\{status="\w+"\} [01]\n/g)).toHaveLength(5);
  expect(text).toContain('customer_labels_model_cannot_tell 0\n');
  for (const state of ['pending', 'running', 'waiting'])
    expect(text).toContain(`customer_labels_lists{state="${state}"} 0\n`);
  expect(text).toContain('customer_labels_model_call_rows_bucket{le="16384"}');
  expect(text).not.toContain('canary');
});

it.each([
  ['refuses', () => Promise.reject(new Error('away'))],
  ['says nothing', () => new Promise<never>(() => {})],
])('has its other metrics while the database %s', async (_, openLists) => {
  const state = { status: 'untrusted', version: null, since: new Date(), lastProvedAt: null, reason: null } as const;
  const metrics = createMetrics({
    version: '1',
    waitingRows: () => 0,
    guardState: () => ({ ...state, cannotTell: ['8'] }),
    outage: () => null,
    registryState: () => null,
    openLists,
  });
  const { text } = await metrics.page();
  expect(text).not.toContain('customer_labels_lists{');
  expect(text).toContain('customer_labels_model_guard{status="untrusted"} 1\n');
  expect(text).toContain('customer_labels_model_guard{status="proved"} 0\n');
  expect(text).toContain('customer_labels_model_cannot_tell 1\n');
});

it('echoes a request id that is well formed, and makes one otherwise', async () => {
  const echoed = await test.http.get('/v1/customers/nobody/label').set('X-Request-Id', 'erp-42').expect(404);
  expect([echoed.headers['x-request-id'], echoed.body.requestId]).toEqual(['erp-42', 'erp-42']);
  const made = await test.http.get('/health').set('X-Request-Id', 'a b<c>');
  expect(made.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
});

it('protects answers, and asks for https only where it serves it', async () => {
  const { headers } = await test.http.get('/v1/labels').expect(200);
  expect(headers['content-security-policy']).toContain("default-src 'none'");
  expect(headers['cache-control']).toBe('no-store');
  expect(headers['x-content-type-options']).toBe('nosniff');
  expect(headers['strict-transport-security']).toBeUndefined();
  expect(headers['x-powered-by']).toBeUndefined();
});

describe('the OpenAPI document', () => {
  it('has every route, with the features of the contract', async () => {
    const { body } = await test.http.get('/openapi.json').expect(200);
    expect(body.openapi).toBe('3.1.1');
    const documented = Object.entries(body.paths as Record<string, object>).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`),
    );
    expect(documented.sort()).toEqual(test.service.routes.map(({ method, path }) => `${method} ${path}`).sort());
    expect(JSON.stringify(body.components)).toContain(test.contract.features[0]?.name);
    expect(body.components.securitySchemes).toHaveProperty('apiKey');
  });

  it('names an operation only once', async () => {
    const ids = test.service.routes.map((route) => route.operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('is shown by Swagger UI from this very host', async () => {
    const page = await test.http.get('/docs').expect(200);
    const files = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] as string);
    expect(files).toHaveLength(4);
    for (const file of files) await test.http.get(file).expect(200);
    expect(page.headers['content-security-policy']).toContain("default-src 'self'");
    expect(page.headers['content-security-policy']).not.toContain('upgrade-insecure-requests');
  });
});

it('starts without its database, says so, waits for it and stops', async () => {
  const port = await freePort();
  const settings = readSettings({
    PORT: String(port),
    DATABASE_URL: `postgres://nobody@127.0.0.1:${await freePort()}/none`,
  });
  const service = await createService(settings, { logger: silentLogger });
  const started = service.start().catch((error: unknown) => error);
  const url = `http://127.0.0.1:${port}`;
  for (let listening = false; !listening;)
    listening = await fetch(`${url}/health`).then(
      (answer) => answer.ok,
      () => false,
    );
  const ready = await fetch(`${url}/ready`);
  expect(ready.status).toBe(503);
  expect(await ready.json()).toMatchObject({
    overall: 'fail',
    checks: { service: { state: 'starting' }, database: { state: 'away' } },
  });
  const label = await fetch(`${url}/v1/customers/C1/label`);
  expect([label.status, label.headers.get('retry-after')]).toEqual([503, '1']);
  await service[Symbol.asyncDispose]();
  expect(await started).toMatchObject({ code: 'not_ready' });
});

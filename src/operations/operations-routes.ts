import * as z from 'zod';
import type { Contract } from '../contract/contract.ts';
import { answer, problems } from '../http/operation.ts';
import type { Route } from '../http/route.ts';
import type { GuardState } from '../model-guard/model-guard.ts';
import type { RegistryState } from '../model-guard/registry-watch.ts';
import type { Metrics } from './metrics.ts';
import type { Readiness } from './readiness.ts';
import { describeRegisteredModel, registryCheckSchema, registryModelSchema } from './registry-check.ts';

interface OperationsRoutesOptions {
  contract: Contract;
  readiness(): Promise<Readiness>;
  metrics: Metrics;
  guardState(): GuardState;
  registryState(): RegistryState | null;
  source: 'model-server' | 'embedded';
}

const guardSchema = z.object({
  state: z.string(),
  since: z.iso.datetime(),
  lastProvedAt: z.iso.datetime().nullable(),
  reason: z.string().nullable(),
});
const readinessSchema = z.object({
  overall: z.enum(['pass', 'warn', 'fail']),
  checks: z.object({
    service: z.object({ state: z.enum(['starting', 'running', 'stopping']) }),
    database: z.object({ state: z.enum(['up', 'away']) }),
    modelServer: guardSchema,
    registry: registryCheckSchema,
  }),
});
const modelSchema = z.object({
  name: z.string(),
  version: z.string().nullable().meta({ description: 'The version that is proved to answer; null when none is.' }),
  source: z.enum(['model-server', 'embedded']),
  guard: guardSchema,
  registry: registryModelSchema,
  contract: z.record(z.string(), z.unknown()),
});

/** What monitors and people ask about the service itself. */
export function createOperationsRoutes(options: OperationsRoutesOptions): Route[] {
  const { contract, readiness, metrics, guardState, registryState, source } = options;

  return [
    {
      method: 'get',
      path: '/health',
      isAlwaysOn: true,
      operation: {
        operationId: 'health',
        summary: 'The process is alive',
        responses: { 200: answer('Alive.', z.object({ alive: z.literal(true) })) },
      },
      handle: (_request, response) => void response.json({ alive: true }),
    },
    {
      method: 'get',
      path: '/ready',
      isAlwaysOn: true,
      operation: {
        operationId: 'ready',
        summary: 'Whether the service should get requests',
        responses: {
          200: answer('It should; warn: with less than everything.', readinessSchema),
          503: answer('It should not.', readinessSchema),
        },
      },
      async handle(_request, response) {
        const body = await readiness();
        response.status(body.overall === 'fail' ? 503 : 200).json(body);
      },
    },
    {
      method: 'get',
      path: '/metrics',
      operation: {
        operationId: 'metrics',
        summary: 'Metrics for Prometheus',
        responses: { 200: { description: 'Prometheus text.', content: { 'text/plain': {} } } },
      },
      async handle(_request, response) {
        const { type, text } = await metrics.page();
        response.set('Content-Type', type).send(Buffer.from(text));
      },
    },
    {
      method: 'get',
      path: '/v1/model',
      operation: {
        operationId: 'getModel',
        summary: 'Which model answers, how that is known, and its contract',
        responses: { 200: answer('The model.', modelSchema), ...problems(503) },
      },
      handle(_request, response) {
        const { status, since, lastProvedAt, reason } = guardState();
        const { goldenRows, ...shown } = contract;
        response.json({
          name: contract.model.name,
          version: status === 'proved' ? contract.model.version : null,
          source,
          guard: { state: status, since, lastProvedAt, reason },
          registry: describeRegisteredModel(registryState()),
          contract: { ...shown, goldenRows: goldenRows.length },
        });
      },
    },
  ];
}

import * as z from 'zod';
import { answer, problems } from '../http/operation.ts';
import type { Route } from '../http/route.ts';
import type { ModelGuard } from '../model-guard/model-guard.ts';
import type { RegistryState } from '../model-guard/registry-watch.ts';
import type { Metrics } from './metrics.ts';
import { describeModelServer, type ModelServerState, type Readiness } from './readiness.ts';
import { describeRegisteredModel, registryCheckSchema, registryModelSchema } from './registry-check.ts';

interface OperationsRoutesOptions {
  guard: Pick<ModelGuard, 'expected'>;
  readiness(): Promise<Readiness>;
  metrics: Metrics;
  modelServer(): ModelServerState;
  registryState(): RegistryState | null;
  source: 'model-server' | 'embedded';
}

const guardSchema = z.object({
  state: z.string(),
  version: z.string().nullable().meta({ description: 'Proved to answer.' }),
  since: z.iso.datetime(),
  lastProvedAt: z.iso.datetime().nullable(),
  reason: z.string().nullable(),
  cannotTell: z.array(z.string()).meta({ description: 'Known versions that no golden row tells from the proved one.' }),
  fallback: z.enum(['off', 'ready', 'no_copy']).meta({
    description:
      'Whether an embedded copy labels in an outage (OUTAGE_FALLBACK); no_copy: it should, and there is none.',
  }),
  outage: z.object({ since: z.iso.datetime(), reason: z.string() }).nullable().meta({
    description: 'Not null: the model server is away, and labelling is refused at once, or done by the fallback.',
  }),
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
  const { guard, readiness, metrics, modelServer, registryState, source } = options;

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
        const state = describeModelServer(modelServer());
        const { goldenRows, ...shown } = guard.expected();
        response.json({
          name: shown.model.name,
          version: state.version,
          source,
          guard: state,
          registry: describeRegisteredModel(registryState()),
          contract: { ...shown, goldenRows: goldenRows.length },
        });
      },
    },
  ];
}

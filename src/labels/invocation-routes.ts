import type { Contract } from '../contract/contract.ts';
import { perContract } from '../contract/per-contract.ts';
import { errorTable, ServiceError } from '../errors.ts';
import { answer, body, json, problems } from '../http/operation.ts';
import { contextOf } from '../http/request-context.ts';
import type { Route } from '../http/route.ts';
import {
  formatPredictions,
  InvocationError,
  mlflowProtocolVersion,
  parseInvocation,
} from '../model-server/scoring-protocol.ts';
import type { LabelCustomers } from './label-customers.ts';
import { buildRequestSchemas, mlflowErrorSchema } from './label-schemas.ts';

const bodyBytes = 2 * 1024 * 1024;
/** The model's time for each is somebody else's wait. */
const maxRows = 10_000;

const mlflowCodes: Record<number, string> = {
  400: 'BAD_REQUEST',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  413: 'BAD_REQUEST',
  415: 'BAD_REQUEST',
  503: 'TEMPORARILY_UNAVAILABLE',
};

/** MLflow's scoring protocol, so that a caller written for it needs only a new address. Nothing is stored. */
export function createInvocationRoutes(options: { contract(): Contract; labelCustomers: LabelCustomers }): Route[] {
  const { contract, labelCustomers } = options;
  const schemasOf = perContract(buildRequestSchemas);

  const invocations: Route = {
    method: 'post',
    path: '/invocations',
    jsonBodyLimitBytes: bodyBytes,
    get operation() {
      const schemas = schemasOf(contract());
      return {
        operationId: 'invoke',
        summary: "MLflow's scoring protocol: standardised vectors in, labels out",
        requestBody: body(schemas.invocation),
        responses: {
          200: answer('One prediction a row.', schemas.predictions),
          ...mlflowErrors(400, 401, 403, 413, 415, 502, 503, 504),
        },
      };
    },
    formatError: (error, locale) => ({
      error_code: mlflowCodes[error.status] ?? 'INTERNAL_ERROR',
      message: error.cause instanceof InvocationError ? error.cause.message : errorTable[error.code].title[locale],
    }),
    async handle(request, response) {
      const featureNames = contract().features.map((feature) => feature.name);
      const vectors = parse(request.body, featureNames);
      const predictions = await labelCustomers.vectors(vectors, contextOf(response).left);
      response.set('Content-Type', 'application/json').send(Buffer.from(formatPredictions(predictions)));
    },
  };

  const text = (operationId: string, path: string, summary: string, body: string): Route => ({
    method: 'get',
    path,
    isAlwaysOn: true,
    operation: { operationId, summary, responses: { 200: { description: 'As MLflow answers.' } } },
    handle: (_request, response) => void response.set('Content-Type', 'application/json').send(Buffer.from(body)),
  });

  return [
    invocations,
    text('ping', '/ping', "MLflow's sign of life", '\n'),
    text('version', '/version', 'The MLflow version whose protocol this is', mlflowProtocolVersion),
  ];
}

/** The documented errors in MLflow's shape. What is no well-formed request at all is refused before the route is known. */
function mlflowErrors(...statuses: number[]) {
  return Object.fromEntries(
    Object.entries(problems(...statuses)).map(([status, problem]) => {
      const content = { ...json(mlflowErrorSchema).content, ...(status === '400' && problem.content) };
      return [status, { ...problem, content }];
    }),
  );
}

/** MLflow answers 400 to what it cannot read, so these faults do too. */
function parse(body: unknown, featureNames: string[]) {
  try {
    return parseInvocation(body, featureNames, maxRows);
  } catch (cause) {
    if (cause instanceof InvocationError) throw new ServiceError('malformed_json', { cause });
    throw cause;
  }
}

import type { Role } from './roles.ts';

/** Who may use each route. A route that is not here is refused to everybody, and fails the tests. */
export const routePolicies: Record<string, Role | 'everybody'> = {
  'POST /v1/customers/:customerId/label': 'reader',
  'GET /v1/customers/:customerId/label': 'reader',
  'GET /v1/customers/:customerId/labels': 'reader',
  'POST /v1/labels': 'reader',
  'GET /v1/labels': 'reader',
  'POST /invocations': 'reader',
  'GET /ping': 'everybody',
  'GET /version': 'everybody',
  'GET /v1/model': 'reader',
  'POST /v1/batches': 'operator',
  'GET /v1/batches': 'operator',
  'GET /v1/batches/:batchId': 'operator',
  'DELETE /v1/batches/:batchId': 'operator',
  'GET /v1/batches/:batchId/events': 'operator',
  'GET /v1/batches/:batchId/results': 'operator',
  'GET /v1/batches/:batchId/rejected': 'operator',
  'POST /v1/keys': 'admin',
  'GET /v1/keys': 'admin',
  'DELETE /v1/keys/:keyId': 'admin',
  'GET /health': 'everybody',
  'GET /ready': 'everybody',
  'GET /metrics': 'ops',
  'GET /openapi.json': 'everybody',
};

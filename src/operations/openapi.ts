import { createDocument, type ZodOpenApiPathsObject } from 'zod-openapi';
import { routePolicies } from '../access/route-policies.ts';
import { problems } from '../http/operation.ts';
import type { Route } from '../http/route.ts';

/** The OpenAPI 3.1 document of these routes, made from the same schemas that check the requests. */
function createOpenApiDocument({ routes, version }: { routes: readonly Route[]; version: string }) {
  const paths: ZodOpenApiPathsObject = {};
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}');
    const policy = routePolicies[`${route.method.toUpperCase()} ${route.path}`];
    const isOpen = policy === 'everybody';
    paths[path] = {
      ...paths[path],
      [route.method]: {
        ...route.operation,
        tags: [tagOf(route)],
        ...(isOpen ? { security: [] } : { description: `Role: ${policy}.` }),
        responses: { ...everywhere(route, isOpen), ...route.operation.responses },
      },
    };
  }
  return createDocument({
    openapi: '3.1.1',
    info: {
      title: 'customer-labels',
      version,
      description: "The ERP/CRM's customers, labelled by the company's model. Errors are RFC 9457 problem details.",
    },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }, { apiKey: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key.' },
        apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
      },
    },
  });
}

/** Under which heading Swagger UI shows it. */
function tagOf({ path }: Route): string {
  if (path.startsWith('/v1/keys')) return 'API keys';
  if (path.startsWith('/v1/batches')) return 'Customer lists';
  if (/^\/v1\/(customers|labels)/.test(path)) return 'Labels';
  return /^\/(invocations|ping|version)$/.test(path) ? "MLflow's protocol" : 'Operation';
}

/** What any route may answer before its own work begins; a route with errors in a shape of its own says so itself. */
function everywhere(route: Route, isOpen: boolean) {
  return {
    ...problems(400),
    ...(!isOpen && problems(401, 403)),
    431: { description: 'The address and the headers together are too long.' },
    ...(!route.isAlwaysOn && problems(503)),
  };
}

interface OpenApiRouteOptions {
  routes: readonly Route[];
  /** What the routes' own words follow: the document is made anew when it is another one. */
  contract(): object;
  version: string;
}

/** Serves the document of all `routes`, this one included once it is among them. */
export function createOpenApiRoute({ routes, contract, version }: OpenApiRouteOptions): Route {
  let made: { contract: object; document: Buffer } | undefined;
  return {
    method: 'get',
    path: '/openapi.json',
    isAlwaysOn: true,
    operation: {
      operationId: 'openapi',
      summary: 'This document',
      responses: { 200: { description: 'OpenAPI 3.1', content: { 'application/json': {} } } },
    },
    handle(_request, response) {
      const now = contract();
      if (made?.contract !== now)
        made = { contract: now, document: Buffer.from(JSON.stringify(createOpenApiDocument({ routes, version }))) };
      response.set('Content-Type', 'application/json').send(made.document);
    },
  };
}

import cors from 'cors';
import express, { type Express, type RequestHandler } from 'express';
import helmet from 'helmet';
import { ServiceError } from '../errors.ts';
import type { Locale } from '../locale.ts';
import type { Logger } from '../logger.ts';
import { createErrorHandler } from './error-handler.ts';
import { readJsonBody } from './json-body.ts';
import { createRequestContext } from './request-context.ts';
import { createRequestLog, type ObservedRequest } from './request-log.ts';
import type { Route } from './route.ts';

interface AppOptions {
  routes: readonly Route[];
  /** Decides whether the caller may use the route; throws not_authenticated or not_allowed. */
  authorize(route: Route): RequestHandler;
  /** False while the service starts or stops: then only the routes that are always on answer. */
  isOn(): boolean;
  /** Files served beside the routes; they set their own headers over those of data. */
  pages: express.Router;
  logger: Logger;
  observe(request: ObservedRequest): void;
  corsOrigins: readonly string[];
  isHttps: boolean;
  defaultLocale: Locale;
}

/** Puts the routes behind what every request goes through: context, log, headers, access, body, errors. */
export function createApp(options: AppOptions): Express {
  const { routes, pages, logger, corsOrigins, isHttps, defaultLocale } = options;
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  app.set('case sensitive routing', true);

  app.use(createRequestContext({ defaultLocale }));
  app.use(refuseTwoHosts);
  app.use(createRequestLog({ logger, observe: (request) => options.observe(request) }));
  if (corsOrigins.length > 0) app.use(crossOrigin(corsOrigins));
  app.use(dataHeaders(isHttps));

  for (const route of routes) {
    const body = route.jsonBodyLimitBytes === undefined ? [] : [readJsonBody(route.jsonBodyLimitBytes)];
    const gate = route.isAlwaysOn ? [] : [refuseUntil(options.isOn)];
    app[route.method](route.path, remember(route), ...gate, options.authorize(route), ...body, (request, response) =>
      route.handle(request, response),
    );
  }
  for (const path of new Set(routes.map((route) => route.path))) app.all(path, refuseMethod(routes, path));
  app.use(pages);
  app.use(() => {
    throw new ServiceError('not_found');
  });
  app.use(createErrorHandler({ logger }));
  return app;
}

/** Node takes a second Host header; a proxy before us may have gone by the other one. */
const refuseTwoHosts: RequestHandler = (request, _response, next) => {
  const names = request.rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host');
  if (names.length > 1) throw new ServiceError('malformed_request');
  next();
};

function remember(route: Route): RequestHandler {
  return (_request, response, next) => {
    response.locals['route'] = route;
    next();
  };
}

function refuseUntil(isOn: () => boolean): RequestHandler {
  return (_request, _response, next) => {
    if (!isOn()) throw new ServiceError('not_ready');
    next();
  };
}

function refuseMethod(routes: readonly Route[], path: string): RequestHandler {
  const methods = routes.filter((route) => route.path === path).map((route) => route.method.toUpperCase());
  const allowed = [...methods, ...(methods.includes('GET') ? ['HEAD'] : [])].join(', ');
  return (_request, response) => {
    response.setHeader('Allow', allowed);
    throw new ServiceError('method_not_allowed');
  };
}

/** Answers hold customers' data: nothing may cache, frame or sniff them. HSTS only where we serve https ourselves. */
function dataHeaders(isHttps: boolean): RequestHandler {
  const protect = helmet({
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    strictTransportSecurity: isHttps,
    xFrameOptions: { action: 'deny' },
    referrerPolicy: { policy: 'no-referrer' },
  });
  return (request, response, next) => {
    response.setHeader('Cache-Control', 'no-store');
    protect(request, response, next);
  };
}

function crossOrigin(origins: readonly string[]): RequestHandler {
  return cors({
    origin: [...origins],
    methods: ['GET', 'POST', 'DELETE'],
    exposedHeaders: ['X-Request-Id', 'Retry-After', 'Location'],
    maxAge: 600,
  });
}

import { performance } from 'node:perf_hooks';
import type { NextFunction, Request, Response } from 'express';
import type { Logger } from '../logger.ts';
import { contextOf } from './request-context.ts';
import type { Route } from './route.ts';

export interface ObservedRequest {
  method: string;
  /** The route's pattern, or `none`: the address itself may hold a customer's id. */
  route: string;
  status: number;
  durationMs: number;
}

/** One log line and one observation a request. No header, address or body is logged. */
export function createRequestLog(options: { logger: Logger; observe(request: ObservedRequest): void }) {
  return (request: Request, response: Response, next: NextFunction) => {
    const startedAt = performance.now();
    response.once('close', () => {
      const { requestId } = contextOf(response);
      const seen: ObservedRequest = {
        method: request.method,
        route: (response.locals['route'] as Route | undefined)?.path ?? 'none',
        status: response.writableFinished ? response.statusCode : 499,
        durationMs: Math.round((performance.now() - startedAt) * 10) / 10,
      };
      options.observe(seen);
      const level = seen.status >= 500 ? 'warn' : 'info';
      options.logger[level](
        { requestId, ...seen, code: response.locals['errorCode'] as string | undefined },
        'request',
      );
    });
    next();
  };
}

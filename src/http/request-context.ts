import { randomUUID } from 'node:crypto';
import type { NextFunction, Request, Response } from 'express';
import { type Locale, locales } from '../locale.ts';

/** What every request carries along, in response.locals. */
export interface RequestContext {
  requestId: string;
  locale: Locale;
  /** When the request's head arrived. */
  receivedAt: Date;
  /** Aborted when the caller leaves before the answer. */
  left: AbortSignal;
}

export function createRequestContext({ defaultLocale }: { defaultLocale: Locale }) {
  return (request: Request, response: Response, next: NextFunction) => {
    const left = new AbortController();
    response.once('close', () => {
      if (!response.writableFinished) left.abort();
    });
    const context: RequestContext = {
      requestId: requestIdOf(request),
      locale: localeOf(request, defaultLocale),
      receivedAt: new Date(),
      left: left.signal,
    };
    Object.assign(response.locals, context);
    response.setHeader('X-Request-Id', context.requestId);
    response.setHeader('Content-Language', context.locale);
    response.vary('Accept-Language');
    next();
  };
}

/** The context that createRequestContext put into the response. */
export function contextOf(response: Response): RequestContext {
  return response.locals as unknown as RequestContext;
}

function requestIdOf(request: Request): string {
  const given = request.get('x-request-id');
  return given !== undefined && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}

function localeOf(request: Request, fallback: Locale): Locale {
  if (request.headers['accept-language'] === undefined) return fallback;
  const preferred = request.acceptsLanguages(fallback, ...locales);
  return locales.find((locale) => locale === preferred) ?? fallback;
}

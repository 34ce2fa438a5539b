import { createHash, timingSafeEqual } from 'node:crypto';
import type { Request, RequestHandler } from 'express';
import { ServiceError } from '../errors.ts';
import type { Route } from '../http/route.ts';
import type { ApiKeys } from './api-keys.ts';
import { mayActAs, type Role } from './roles.ts';
import { routePolicies } from './route-policies.ts';

export interface Caller {
  name: string;
  role: Role;
}

/** One way to know who is asking: a caller, or undefined when the request carries nothing of its kind. */
export type Authenticator = (request: Request) => Promise<Caller | undefined>;

/** Only on loopback: whoever can reach the service may do everything. */
export const trustEverybody: Authenticator = async () => ({ name: 'local', role: 'admin' });

/** The service's own API keys, as `Authorization: Bearer KEY` or `X-API-Key: KEY`. */
export function byApiKey(keys: ApiKeys): Authenticator {
  return async (request) => {
    const key = keyOf(request);
    return key === undefined ? undefined : await keys.find(key);
  };
}

/** One secret that whoever started the service keeps to himself. */
export function bySecret(secret: string): Authenticator {
  return async (request) => {
    const isKnown = timingSafeEqual(digest(keyOf(request) ?? ''), digest(secret));
    return isKnown ? { name: 'command line', role: 'admin' } : undefined;
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function keyOf(request: Request): string | undefined {
  return /^Bearer +(\S+)$/i.exec(request.get('authorization') ?? '')?.[1] ?? request.get('x-api-key');
}

/** Makes the guard of each route from the one table of policies: refuses what the table does not name. */
export function createAuthorize(authenticators: readonly Authenticator[]) {
  async function identify(request: Request): Promise<Caller> {
    for (const authenticate of authenticators) {
      const caller = await authenticate(request);
      if (caller) return caller;
    }
    throw new ServiceError('not_authenticated');
  }

  return (route: Route): RequestHandler => {
    const policy = routePolicies[`${route.method.toUpperCase()} ${route.path}`];
    if (policy === 'everybody') return (_request, _response, next) => next();
    return async (request, _response, next) => {
      const caller = await identify(request);
      if (policy === undefined || !mayActAs(caller.role, policy)) throw new ServiceError('not_allowed');
      next();
    };
  };
}

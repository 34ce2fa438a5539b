import * as z from 'zod';
import { type InputFault, ServiceError } from '../errors.ts';
import { answer, body, plainTextPattern, problems } from '../http/operation.ts';
import type { Route } from '../http/route.ts';
import type { ApiKeys } from './api-keys.ts';
import { isPlainText } from '../plain-text.ts';
import { roles } from './roles.ts';

const keySchema = z
  .object({
    id: z.string(),
    name: z.string(),
    role: z.enum(roles),
    createdAt: z.iso.datetime(),
    lastUsedAt: z.iso.datetime().nullable(),
    revokedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'ApiKey' });
const newKeySchema = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(128)
    .refine(isPlainText)
    .meta({ override: { pattern: plainTextPattern } }),
  role: z.enum(roles),
});

/** API keys over HTTP, for the command line's `keys` where the database belongs to the running service. */
export function createKeyRoutes({ keys }: { keys: ApiKeys }): Route[] {
  return [
    {
      method: 'post',
      path: '/v1/keys',
      jsonBodyLimitBytes: 4_096,
      operation: {
        operationId: 'createKey',
        summary: 'Make an API key; it is shown in this answer only',
        requestBody: body(newKeySchema),
        responses: {
          201: answer('The key.', keySchema.extend({ key: z.string() })),
          ...problems(400, 413, 415, 422, 503),
        },
      },
      async handle(request, response) {
        const { key, description } = await keys.create(parseNewKey(request.body));
        response.status(201).json({ ...description, key });
      },
    },
    {
      method: 'get',
      path: '/v1/keys',
      operation: {
        operationId: 'listKeys',
        summary: 'The API keys, without the keys',
        responses: { 200: answer('The keys.', z.object({ keys: z.array(keySchema) })), ...problems(503) },
      },
      async handle(_request, response) {
        response.json({ keys: await keys.list() });
      },
    },
    {
      method: 'delete',
      path: '/v1/keys/:keyId',
      operation: {
        operationId: 'revokeKey',
        summary: 'Revoke an API key',
        requestParams: { path: z.object({ keyId: z.string() }) },
        responses: { 204: { description: 'Revoked.' }, ...problems(404, 503) },
      },
      async handle(request, response) {
        await keys.revoke(String(request.params['keyId']));
        response.status(204).end();
      },
    },
  ];
}

function parseNewKey(body: unknown) {
  const parsed = newKeySchema.safeParse(body);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue): InputFault => {
    const pointer = `#/${issue.path.join('/')}`;
    return issue.code === 'unrecognized_keys'
      ? { pointer, code: 'unknown_field' }
      : { pointer, code: 'invalid_value', expected: issue.path[0] === 'role' ? roles.join(', ') : '1–128' };
  });
  throw new ServiceError('invalid_request', { faults });
}

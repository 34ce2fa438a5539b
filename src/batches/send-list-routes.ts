import type { Request } from 'express';
import * as z from 'zod';
import { ServiceError } from '../errors.ts';
import { letTakeItsTime } from '../http/http-server.ts';
import { readJson, unsupported } from '../http/json-body.ts';
import { answer, problems } from '../http/operation.ts';
import { parseQuery } from '../http/parse-query.ts';
import { contextOf } from '../http/request-context.ts';
import type { Route } from '../http/route.ts';
import { delimiters, encodings } from '../list-files/list-format.ts';
import { batchSchema, describeBatch } from './batch-view.ts';
import type { ReceiveList } from './receive-list.ts';
import type { Upload } from './read-upload.ts';

const kinds: Record<string, Upload['kind']> = { 'text/csv': 'csv', 'application/x-ndjson': 'ndjson' };
const jsonType = 'application/json';
const throwAwayMs = 30_000;
const storedBodyBytes = 4_096;
export const keySchema = z.string().regex(/^[\x21-\x7e]{1,255}$/);
const uploadQuery = z.strictObject({
  dryRun: z.enum(['true', 'false']).optional().meta({ description: 'true: says what would become of it.' }),
  decimal: z.enum([',', '.']).optional().meta({ description: 'Left out: found out.' }),
  delimiter: z
    .enum([...delimiters, 'tab'])
    .optional()
    .meta({ description: 'Left out: found out. `tab` may be written for a tab.' }),
  encoding: z.enum(encodings).optional().meta({ description: 'Left out: found out.' }),
  scale: z
    .enum(['raw', 'standardized'])
    .optional()
    .meta({ description: 'Of all numbers in the file; raw when left out.' }),
});
const storedSchema = z.strictObject({ from: z.literal('stored') });
const text = z.string();
const dryRunSchema = z.looseObject({
  rows: z.object({
    total: z.int(),
    accepted: z.int(),
    rejected: z.int(),
    duplicates: z.int().meta({ description: 'Accepted rows whose customer stands again further down.' }),
  }),
});

/** Sending a customer list, and asking what would become of one. */
export function createSendListRoutes({ lists }: { lists: ReceiveList }): Route[] {
  const send: Route = {
    method: 'post',
    path: '/v1/batches',
    operation: {
      operationId: 'sendList',
      summary: 'Label a customer list: CSV or NDJSON, or {"from": "stored"} for customers whose label is stale',
      requestParams: { query: uploadQuery, header: z.object({ 'Idempotency-Key': keySchema.optional() }) },
      requestBody: {
        required: true,
        content: {
          'text/csv': { schema: text },
          'application/x-ndjson': { schema: text },
          'application/json': { schema: storedSchema },
        },
      },
      responses: {
        200: answer('What a dry run found.', dryRunSchema),
        202: { ...answer('It is being labelled.', batchSchema), headers: z.object({ Location: z.string() }) },
        ...problems(400, 409, 413, 415, 422, 503),
      },
    },
    async handle(request, response) {
      const { dryRun, ...given } = parseQuery(uploadQuery, request.query);
      const { locale, left } = contextOf(response);
      const upload = await readUploadHead(request, given);
      if (upload !== 'stored') letTakeItsTime(request);
      try {
        if (dryRun === 'true') {
          if (upload === 'stored') throw new ServiceError('invalid_request', { faults: [dryRunOfStored] });
          response.json(await lists.dryRun(upload, { locale, left }));
          return;
        }
        const key = keyOf(request);
        const batch = upload === 'stored' ? await lists.relabelStale(key) : await lists.receive(upload, key);
        response.status(202).location(`/v1/batches/${batch.id}`).json(describeBatch(batch, locale));
      } catch (error) {
        // The rest is taken in and thrown away for a while, so that the caller hears why
        request.resume();
        const enough = setTimeout(() => request.destroy(), throwAwayMs).unref();
        request.once('close', () => clearTimeout(enough));
        throw error;
      }
    },
  };

  return [send];
}

const dryRunOfStored = { pointer: '#/query/dryRun', code: 'invalid_value', expected: 'false' } as const;

type Given = Omit<z.output<typeof uploadQuery>, 'dryRun'>;

async function readUploadHead(request: Request, query: Given): Promise<Upload | 'stored'> {
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  const { delimiter, ...others } = query;
  const given = { ...others, ...(delimiter && { delimiter: delimiter === 'tab' ? ('\t' as const) : delimiter }) };
  const kind = kinds[type];
  if (kind) {
    if ((request.headers['content-encoding'] ?? 'identity') !== 'identity')
      throw unsupported('Content-Encoding', 'identity');
    return { bytes: bytesOf(request), kind, given: given as Upload['given'] };
  }
  if (type !== jsonType) throw unsupported('Content-Type', [...Object.keys(kinds), jsonType].join(', '));
  if (storedSchema.safeParse(await readJson(request, storedBodyBytes)).success) return 'stored';
  throw new ServiceError('invalid_request', {
    faults: [{ pointer: '#/from', code: 'invalid_value', expected: 'stored' }],
  });
}

/** The body as it comes; one that is refused stays open, so that its sender hears why. */
async function* bytesOf(request: Request): AsyncGenerator<Uint8Array> {
  try {
    yield* request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
  } catch (cause) {
    throw new ServiceError('malformed_request', { reason: 'the upload was cut off', cause });
  }
}

function keyOf(request: Request): string {
  const key = request.get('idempotency-key');
  if (key === undefined) throw new ServiceError('missing_idempotency_key');
  if (keySchema.safeParse(key).success) return key;
  const faults = [
    { pointer: '#/header/Idempotency-Key', code: 'invalid_value', expected: '1–255 ASCII characters' } as const,
  ];
  throw new ServiceError('invalid_request', { faults });
}

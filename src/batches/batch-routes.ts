import { pipeline } from 'node:stream/promises';
import type { Request } from 'express';
import * as z from 'zod';
import { ServiceError } from '../errors.ts';
import { answer, problems } from '../http/operation.ts';
import { readCursor, writeCursor } from '../http/page-cursor.ts';
import { parseQuery } from '../http/parse-query.ts';
import { contextOf } from '../http/request-context.ts';
import type { Route } from '../http/route.ts';
import { type Batch, endStates } from './batch.ts';
import { endEventId, sendBatchEvents } from './batch-events.ts';
import type { BatchStore } from './batch-store.ts';
import { batchPageSchema, batchSchema, describeBatch } from './batch-view.ts';
import { keySchema } from './send-list-routes.ts';
import type { StreamResults } from './stream-results.ts';

interface BatchRoutesOptions {
  batches: BatchStore;
  streamResults: StreamResults;
  /** Ends what would go on for as long as a list does. */
  stopping: AbortSignal;
}

const pageQuery = z.strictObject({
  limit: z
    .string()
    .regex(/^\d{1,3}$/)
    .transform(Number)
    .pipe(z.int().min(1).max(100))
    .default(20)
    .meta({
      override: ({ jsonSchema }) => {
        delete jsonSchema.pattern;
        Object.assign(jsonSchema, { type: 'integer', minimum: 1, maximum: 100 });
      },
    }),
  cursor: z
    .string()
    .max(1_000)
    .optional()
    .meta({ description: '`next` of the page before.', override: { format: 'batch-cursor' } }),
  idempotencyKey: keySchema.optional().meta({ description: 'Only the list that was sent with it.' }),
});
const cursorSchema = z.strictObject({ createdAt: z.iso.datetime(), id: z.guid() });
const idParameter = {
  path: z.object({ batchId: z.string().meta({ example: '0b0e5e3e-8f4b-4b51-9d0c-0d7c6f0b7a11' }) }),
};
const text = z.string();
const eventSchema = z.object({
  event: z.enum(['progress', 'end']),
  id: z.string(),
  data: z.string().meta({ description: 'Of progress the list, of end `{"state"}`, as JSON.' }),
});

/** Customer lists that were sent: watched, ended, and fetched with their labels. */
export function createBatchRoutes({ batches, streamResults, stopping }: BatchRoutesOptions): Route[] {
  async function find(request: Request): Promise<Batch> {
    const id = z.uuid().safeParse(request.params['batchId']);
    const batch = id.success ? await batches.find(id.data) : undefined;
    if (!batch || batch.state === 'receiving') throw new ServiceError('batch_not_found');
    return batch;
  }

  const list: Route = {
    method: 'get',
    path: '/v1/batches',
    operation: {
      operationId: 'listBatches',
      summary: 'Customer lists, newest first',
      requestParams: { query: pageQuery },
      responses: { 200: answer('A page of lists.', batchPageSchema), ...problems(422, 503) },
    },
    async handle(request, response) {
      const { limit, cursor, idempotencyKey } = parseQuery(pageQuery, request.query);
      const after = readCursor(cursor, cursorSchema);
      const found = await batches.list({
        limit,
        ...(after && { after: { createdAt: new Date(after.createdAt), id: after.id } }),
        ...(idempotencyKey !== undefined && { key: idempotencyKey }),
      });
      const last = found.length === limit ? found.at(-1) : undefined;
      const { locale } = contextOf(response);
      response.json({
        batches: found.map((batch) => describeBatch(batch, locale)),
        next: last ? writeCursor({ createdAt: last.createdAt.toISOString(), id: last.id }) : null,
      });
    },
  };

  const progress: Route = {
    method: 'get',
    path: '/v1/batches/:batchId',
    operation: {
      operationId: 'getBatch',
      summary: "A list's progress",
      requestParams: idParameter,
      responses: { 200: answer('The list.', batchSchema), ...problems(404, 503) },
    },
    async handle(request, response) {
      response.json(describeBatch(await find(request), contextOf(response).locale));
    },
  };

  const events: Route = {
    method: 'get',
    path: '/v1/batches/:batchId/events',
    operation: {
      operationId: 'watchBatch',
      summary: "A list's progress as server-sent events named progress, and end when it has ended",
      requestParams: {
        ...idParameter,
        header: z.object({
          'Last-Event-ID': z.string().optional().meta({ description: 'Of the last event that was received.' }),
        }),
      },
      responses: {
        204: { description: 'Last-Event-ID is that of the event end: there is nothing more, do not connect again.' },
        200: { description: 'Events.', content: { 'text/event-stream': { schema: eventSchema } } },
        ...problems(404, 503),
      },
    },
    async handle(request, response) {
      const { id, state } = await find(request);
      if (endStates.includes(state) && request.get('last-event-id') === endEventId) {
        response.status(204).end();
        return;
      }
      const { locale, left } = contextOf(response);
      const describe = (batch: Batch) => describeBatch(batch, locale);
      await sendBatchEvents(request, response, {
        find: () => batches.find(id),
        describe,
        left: AbortSignal.any([left, stopping]),
      });
    },
  };

  const cancel: Route = {
    method: 'delete',
    path: '/v1/batches/:batchId',
    operation: {
      operationId: 'cancelBatch',
      summary: 'End a list: labels that were made stay',
      requestParams: idParameter,
      responses: { 200: answer('The list, ended.', batchSchema), ...problems(404, 503) },
    },
    async handle(request, response) {
      const { id } = await find(request);
      await batches.cancel(id, new Date());
      response.json(describeBatch((await batches.find(id)) as Batch, contextOf(response).locale));
    },
  };

  const fetching = (what: 'results' | 'rejected', summary: string): Route => ({
    method: 'get',
    path: `/v1/batches/:batchId/${what}`,
    operation: {
      operationId: what === 'results' ? 'getResults' : 'getRejected',
      summary,
      requestParams: idParameter,
      responses: {
        200: {
          description: 'In the format of the list, or as NDJSON when Accept asks for it.',
          content: { 'text/csv': { schema: text }, 'application/x-ndjson': { schema: text } },
        },
        ...problems(404, 409, 503),
      },
    },
    async handle(request, response) {
      const { id, state, decision } = await find(request);
      if (!endStates.includes(state)) throw new ServiceError('batch_not_ended');
      const plan = await batches.planOf(id);
      if (!plan) throw new ServiceError('batch_not_found');
      const wantsCsv = request.accepts(['text/csv', 'application/x-ndjson']) !== 'application/x-ndjson';
      const as = plan.kind === 'csv' && wantsCsv ? 'csv' : 'ndjson';
      const charset = as === 'csv' ? (decision?.format.encoding ?? 'utf-8') : 'utf-8';
      response.set({
        'Content-Type': `${as === 'csv' ? 'text/csv' : 'application/x-ndjson'}; charset=${charset}`,
        'Content-Disposition': `attachment; filename="${what}-${id}.${as}"`,
        Vary: 'Accept, Accept-Language',
      });
      await pipeline(streamResults({ batchId: id, plan, what, as, locale: contextOf(response).locale }), response);
    },
  });

  return [
    list,
    progress,
    cancel,
    events,
    fetching('results', 'The list with its labels: its own columns in their order, and those of the label'),
    fetching('rejected', 'The refused rows with their line and reason, to be mended and sent again'),
  ];
}

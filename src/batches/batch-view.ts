import * as z from 'zod';
import { describeRowFault } from '../list-files/parsed-row.ts';
import type { Locale } from '../locale.ts';
import { type Batch, batchStates, endStates } from './batch.ts';

const errorCountSchema = z.object({
  field: z.string(),
  column: z.string().nullable(),
  code: z.string(),
  detail: z.string(),
  rows: z.int(),
  lines: z.array(z.int()).meta({ description: 'The first of them.' }),
});

export const batchSchema = z
  .object({
    id: z.string(),
    state: z.enum(batchStates),
    reason: z.string().nullable().meta({
      description:
        'Why it waits (model_unavailable, model_untrusted, model_bad_answer, contract_changed) or failed (chunk_given_up).',
    }),
    rows: z.object({
      total: z.int(),
      labelled: z.int(),
      rejected: z.int(),
      duplicates: z.int().nullable().meta({
        description:
          'Labelled rows whose customer stands again further down, where the current label is from; null before the end.',
      }),
    }),
    ratePerSecond: z.number().nullable().meta({ description: 'Rows done a second since work on it began.' }),
    etaSeconds: z
      .number()
      .nullable()
      .meta({ description: 'At that rate; null while it is not known, and at the end.' }),
    modelVersions: z.record(z.string(), z.int()).meta({ description: 'How many rows each version labelled.' }),
    errors: z.array(errorCountSchema),
    format: z
      .object({
        encoding: z.string(),
        delimiter: z.string(),
        decimal: z.string(),
        decimalFrom: z.string().meta({ description: 'given, cells or delimiter: how that was decided.' }),
      })
      .nullable()
      .meta({ description: 'How a CSV file was understood.' }),
    createdAt: z.iso.datetime(),
    startedAt: z.iso.datetime().nullable(),
    finishedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Batch' });

export const batchPageSchema = z.object({ batches: z.array(batchSchema), next: z.string().nullable() });

/** A list and its progress as callers see it (interface.md). */
export function describeBatch(batch: Batch, locale: Locale): z.output<typeof batchSchema> {
  const { rows, startedAt, finishedAt, decision } = batch;
  const done = rows.labelled + rows.rejected;
  const seconds = startedAt && ((finishedAt ?? new Date()).getTime() - startedAt.getTime()) / 1_000;
  const rate = seconds !== null && seconds > 0 && done > 0 ? done / seconds : null;
  const hasEnded = endStates.includes(batch.state);
  return {
    id: batch.id,
    state: batch.state,
    reason: batch.reason,
    rows,
    ratePerSecond: rate === null ? null : Math.round(rate * 10) / 10,
    etaSeconds: rate === null || hasEnded ? null : Math.ceil((rows.total - done) / rate),
    modelVersions: batch.modelVersions,
    errors: batch.errors
      .map(({ rows: count, lines, ...fault }) => ({ ...describeRowFault(fault, locale), rows: count, lines }))
      .sort((a, b) => b.rows - a.rows),
    format: decision && {
      encoding: decision.format.encoding,
      delimiter: decision.format.delimiter,
      decimal: decision.format.decimal,
      decimalFrom: decision.decimal.from,
    },
    createdAt: batch.createdAt.toISOString(),
    startedAt: startedAt?.toISOString() ?? null,
    finishedAt: finishedAt?.toISOString() ?? null,
  };
}

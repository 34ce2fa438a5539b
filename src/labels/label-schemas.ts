import * as z from 'zod';
import type { Contract, Feature } from '../contract/contract.ts';
import { faultSchema, plainTextPattern } from '../http/operation.ts';
import { buildFeatureSchemas } from '../contract/feature-vector.ts';

/** The most customers of one POST /v1/labels. */
export const maxCustomers = 1_000;

export const customerIdSchema = z
  .string()
  .min(1)
  .max(128)
  .meta({
    description: "The customer's id in the ERP: 1 to 128 characters, no control characters; percent-encoded in a path.",
    example: 'C01374',
    override: { pattern: plainTextPattern },
  });

/** An error of POST /invocations. */
export const mlflowErrorSchema = z.object({ error_code: z.string(), message: z.string() }).meta({ id: 'MlflowError' });

const code = z.union([z.int(), z.string()]);

export const labelSchema = z
  .object({
    customerId: z.string(),
    label: code.meta({ description: "The model's own code of the label." }),
    name: z.string(),
    text: z.string().meta({ description: 'In the language of Accept-Language: en or es.' }),
    probability: z.number().min(0).max(1).optional().meta({ description: 'Of the positive label.' }),
    model: z.object({ name: z.string(), version: z.string().nullable() }),
    source: z.enum(['model-server', 'embedded']),
    labelledAt: z.iso.datetime(),
    confirmedAt: z.iso.datetime().meta({ description: 'When the same inputs last gave the same label again.' }),
    freshness: z.object({
      stale: z.boolean(),
      reason: z.enum(['model_superseded', 'too_old']).optional().meta({
        description:
          'model_superseded: another version was proved to answer since. too_old: confirmed longer ago than MAX_LABEL_AGE_DAYS.',
      }),
    }),
    warnings: z.array(faultSchema).optional().meta({ description: 'Features outside what the model saw in training.' }),
  })
  .meta({ id: 'Label' });

export const labelPageSchema = z.object({ labels: z.array(labelSchema), next: z.string().nullable() });

const earlierLabelSchema = labelSchema
  .extend({
    changed: z.enum(['inputs', 'model', 'both']).nullable().meta({
      description: 'What is other than in the label before this one; null for the first, and when nothing is.',
    }),
  })
  .meta({ id: 'LabelInHistory' });
export const historyPageSchema = z.object({ labels: z.array(earlierLabelSchema), next: z.string().nullable() });

/** Requests and answers whose shape the contract decides; the OpenAPI document is made from them. */
export function buildRequestSchemas(contract: Contract) {
  const checked = buildFeatureSchemas(contract);
  const raw = contract.features.map((feature, i) => documented(feature, checked.raw.ordered[i] as z.ZodType<number>));
  const standardized = checked.standardized.ordered;
  const named = (schemas: z.ZodType<number>[]) =>
    z.strictObject(Object.fromEntries(contract.features.map(({ name }, i) => [name, schemas[i] as z.ZodType<number>])));
  const ordered = (schemas: z.ZodType<number>[]) => z.tuple(schemas as [z.ZodType<number>, ...z.ZodType<number>[]]);
  const rows = z.array(ordered(standardized)).min(1);

  const scaled = [
    z.strictObject({ features: named(raw), scale: z.literal('raw').optional() }),
    z.strictObject({ features: named(standardized), scale: z.literal('standardized') }),
    z.strictObject({ features: ordered(raw), scale: z.literal('raw') }),
    z.strictObject({ features: ordered(standardized), scale: z.literal('standardized') }),
  ] as const;
  const customers = scaled.map((one) => one.extend({ id: customerIdSchema }));
  const refused = z.object({
    customerId: z.unknown(),
    error: z.object({ code: z.string(), errors: z.array(faultSchema).optional() }),
  });
  return {
    one: z.union(scaled).meta({
      id: 'Features',
      description: "By name, or in the model's order. raw: the ERP's own units; an array must say its scale.",
      example: { features: contract.goldenRows[0]?.features },
    }),
    many: z.strictObject({
      customers: z
        .array(z.union([...customers, z.unknown().meta({ description: 'Anything else is rejected by itself.' })]))
        .min(1)
        .max(maxCustomers)
        .meta({ example: [{ id: 'C01374', features: contract.goldenRows[0]?.features }] }),
    }),
    verdicts: z.object({ labels: z.array(z.union([labelSchema, refused])), labelled: z.int(), rejected: z.int() }),
    invocation: z
      .union([
        z.strictObject({ inputs: rows }),
        z.strictObject({ instances: rows }),
        z.strictObject({
          dataframe_split: z.strictObject({
            data: rows,
            columns: columnsOf(contract).optional(),
            index: z.array(z.unknown()).optional(),
          }),
        }),
        z.strictObject({ dataframe_records: z.array(named(standardized)).min(1) }),
      ])
      .meta({ example: { inputs: [contract.features.map(() => 0)] } }),
    predictions: z.object({ predictions: z.array(code) }),
  };
}

/** A raw feature's schema with what it checks by code said in the document's own words. */
function documented({ allowed, type }: Feature, schema: z.ZodType<number>): z.ZodType<number> {
  if ('values' in allowed) return schema.meta({ ...schema.meta(), override: { enum: allowed.values } });
  return type === 'number' ? schema : schema.meta({ ...schema.meta(), override: { multipleOf: 1 } });
}

/** Numbers, that say nothing, or every feature's name once, in any order. */
function columnsOf({ features }: Contract) {
  const names = z
    .array(z.enum(features.map(({ name }) => name)))
    .length(features.length)
    .meta({ override: { uniqueItems: true } });
  return z.union([z.array(z.int()), names]);
}

import * as z from 'zod';
import { type Contract, checkContract, ContractError, type Feature, type LabelKind } from './contract.ts';

/** What a person can say of a model that was registered without a contract. */
export interface ModelDescription {
  features: Feature[];
  /** Undefined: they are named by the codes that the model answers with. */
  labels: LabelKind[] | undefined;
}

const text = z.union([
  z.string().transform((one) => ({ en: one, es: one })),
  z.strictObject({ en: z.string(), es: z.string() }),
]);
const range = z.object({ minimum: z.float32(), maximum: z.float32() });

const listedFeature = z.union([
  z
    .string()
    .min(1)
    .transform((name) => ({ name })),
  z.object({
    name: z.string().min(1),
    meaning: text.optional(),
    names: text.optional(),
    unit: text.nullish(),
    type: z.enum(['integer', 'number', 'binary']).optional(),
    allowed: z.union([z.object({ values: z.array(z.float32()) }), range.partial()]).optional(),
    trainingRange: range.nullish(),
    scaling: z.object({ mean: z.number(), scale: z.number().positive() }).optional(),
  }),
]);
const listedLabel = z.object({
  code: z.union([z.int(), z.string()]),
  name: z.string(),
  text: text.optional(),
  positive: z.boolean().default(false),
});
const listSchema = z.union([
  z
    .array(listedFeature)
    .min(1)
    .transform((features) => ({ features, labels: undefined })),
  z.object({ features: z.array(listedFeature).min(1), labels: z.array(listedLabel).min(2).optional() }),
]);

const numbers = z.array(z.number());
const scales = z.array(z.number().positive());
/** scikit-learn's name of what it found by fitting. */
const fitted = (name: string) => `${name}_`;
const scalerSchema = z.union([
  z.object({ mean: numbers, scale: scales }),
  z.object({ [fitted('mean')]: numbers, [fitted('scale')]: scales }).transform((one) => ({
    mean: one[fitted('mean')] as number[],
    scale: one[fitted('scale')] as number[],
  })),
]);

/**
 * Reads a feature list: names, or objects with what is known of each, in the model's order; or another contract.
 * @param scaler `{ mean: […], scale: […] }` as StandardScaler has them (`mean_`, `scale_` too), when the list has none.
 *   With no scaler anywhere the features go to the model as they are.
 * @throws ContractError
 */
export function readFeatureList(list: unknown, scaler: unknown): ModelDescription {
  if (isContract(list)) {
    const { features, labels } = checkContract(list, 'the feature list');
    return { features: scaled(features, scaler), labels };
  }
  const { features, labels } = parse(listSchema, list, 'the feature list');
  const described = features.map((feature) => describeFeature(feature));
  return {
    features: scaled(described, scaler),
    labels: labels?.map(({ text: words, ...label }) => ({
      ...label,
      text: words ?? { en: label.name, es: label.name },
    })),
  };
}

function isContract(list: unknown): list is Contract {
  return typeof list === 'object' && list !== null && 'contractVersion' in list;
}

/** A feature of which only the name has to be known. */
type ListedFeature = Pick<Feature, 'name'> & { [Key in keyof Feature]?: Feature[Key] | undefined };

function describeFeature({ name, ...known }: ListedFeature): Feature {
  const type = known.type ?? 'number';
  return {
    name,
    meaning: known.meaning ?? { en: name, es: name },
    names: known.names ?? { en: name, es: name },
    unit: known.unit ?? null,
    type,
    allowed: known.allowed ?? (type === 'binary' ? { values: [0, 1] } : {}),
    trainingRange: known.trainingRange ?? null,
    scaling: known.scaling ?? { mean: 0, scale: 1 },
    reference: null,
  };
}

function scaled(features: Feature[], scaler: unknown): Feature[] {
  if (scaler === undefined) return features;
  const { mean, scale } = parse(scalerSchema, scaler, 'the scaler');
  if (mean.length !== features.length || scale.length !== features.length)
    throw new ContractError(
      `the scaler has ${mean.length} means and ${scale.length} scales for ${features.length} features`,
    );
  return features.map((feature, i) => ({
    ...feature,
    scaling: { mean: mean[i] as number, scale: scale[i] as number },
  }));
}

function parse<T extends z.ZodType>(schema: T, value: unknown, what: string): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ContractError(`${what} cannot be used:\n${z.prettifyError(parsed.error)}`);
}

import * as z from 'zod';
import type { InputFault, InputFaultCode } from '../errors.ts';
import type { Contract, Feature } from './contract.ts';
import { float32Max, standardize } from './scaling.ts';

export type Scale = 'raw' | 'standardized';

/** What one customer's body says, as it came from JSON. */
export interface GivenFeatures {
  features?: unknown;
  scale?: unknown;
}

/** A checked vector: as it was given, and as the model takes it. Numbers in the contract's order. */
export interface FeatureVector {
  given: number[];
  scale: Scale;
  standardized: number[];
  warnings: InputFault[];
}

/** So many unknown names of one object are named in the answer: more would only make it large. */
export const maxUnknownNames = 16;

export type ParsedFeatures = { vector: FeatureVector } | { faults: InputFault[] };

export type ParseFeatures = (given: GivenFeatures, pointer?: string) => ParsedFeatures;

/** The zod schemas of a contract's features: by name, or in order. The OpenAPI document shows the same ones. */
export function buildFeatureSchemas(contract: Contract) {
  const raw = contract.features.map(rawFeature);
  const standardized = contract.features.map(() => z.float32());
  const names = contract.features.map((feature) => feature.name);
  const byName = (schemas: z.ZodType<number>[]) =>
    z.strictObject(Object.fromEntries(names.map((n, i) => [n, schemas[i]])));
  return {
    raw: { byName: byName(raw), ordered: raw },
    standardized: { byName: byName(standardized), ordered: standardized },
  };
}

/** Makes the checker of one contract: all faults at once, each with its JSON pointer below `pointer`. */
export function createFeatureParser(contract: Contract): ParseFeatures {
  const schemas = buildFeatureSchemas(contract);
  const names = contract.features.map((feature) => feature.name);
  const isPlainlyAllowed = {
    raw: contract.features.map(createQuickCheck),
    standardized: contract.features.map(() => isFloat32),
  };

  const checkByName = (features: object, scale: Scale, at: string): number[] | InputFault[] => {
    const parsed = schemas[scale].byName.safeParse(features);
    if (parsed.success) return names.map((name) => parsed.data[name] as number);
    return parsed.error.issues.flatMap((issue) =>
      issue.code === 'unrecognized_keys'
        ? issue.keys
            .slice(0, maxUnknownNames)
            .map((key): InputFault => ({ pointer: `${at}/${escapePointer(key)}`, code: 'feature_unknown' }))
        : [faultOf(names.indexOf(String(issue.path[0])), Reflect.get(features, issue.path[0] ?? ''), at, true)],
    );
  };

  const checkOrdered = (features: unknown[], scale: Scale, at: string): number[] | InputFault[] => {
    const faults: InputFault[] = [];
    if (features.length !== names.length) faults.push({ pointer: at, code: 'feature_count', expected: names.length });
    for (let i = 0; i < Math.min(features.length, names.length); i += 1)
      if (!isPlainlyAllowed[scale][i]?.(features[i]) && !schemas[scale].ordered[i]?.safeParse(features[i]).success)
        faults.push(faultOf(i, features[i], at, false));
    return faults.length > 0 ? faults : (features as number[]);
  };

  const faultOf = (index: number, value: unknown, at: string, named: boolean): InputFault => {
    const feature = contract.features[index] as Feature;
    const code = classify(value);
    const expected = code === 'not_allowed_value' ? { expected: describeAllowed(feature) } : {};
    return { pointer: `${at}/${named ? escapePointer(feature.name) : index}`, code, ...expected };
  };

  return ({ features, scale }, pointer = '#') => {
    const at = `${pointer}/features`;
    const ordered = Array.isArray(features);
    if (features === undefined) return { faults: [{ pointer: at, code: 'feature_missing' }] };
    if (typeof features !== 'object' || features === null)
      return { faults: [{ pointer: at, code: 'wrong_type', expected: '{"name": number} / number[]' }] };
    if (scale === undefined && ordered) return { faults: [{ pointer: `${pointer}/scale`, code: 'scale_missing' }] };
    if (scale !== undefined && scale !== 'raw' && scale !== 'standardized')
      return { faults: [{ pointer: `${pointer}/scale`, code: 'unknown_scale' }] };

    const checked = ordered ? checkOrdered(features, scale ?? 'raw', at) : checkByName(features, scale ?? 'raw', at);
    if (!isVector(checked)) return { faults: checked };
    if (scale === 'standardized') return { vector: { given: checked, scale, standardized: checked, warnings: [] } };

    const place = (i: number) => `${at}/${ordered ? i : escapePointer(names[i] as string)}`;
    const standardized = standardize(contract, checked);
    const tooLarge = (value: number) => Math.abs(value) > float32Max;
    if (standardized.some(tooLarge))
      return {
        faults: standardized.flatMap((value, i): InputFault[] =>
          tooLarge(value) ? [{ pointer: place(i), code: 'out_of_float32' }] : [],
        ),
      };
    return { vector: { given: checked, scale: 'raw', standardized, warnings: unusual(contract, checked, place) } };
  };
}

function isVector(checked: number[] | InputFault[]): checked is number[] {
  return typeof checked[0] === 'number';
}

function rawFeature(feature: Feature): z.ZodType<number> {
  let schema: z.ZodType<number> = z.float32();
  const { allowed } = feature;
  if ('values' in allowed) schema = z.float32().refine((value) => allowed.values.includes(value));
  else {
    let bounded = z.float32();
    if (allowed.minimum !== undefined) bounded = bounded.gte(allowed.minimum);
    if (allowed.maximum !== undefined) bounded = bounded.lte(allowed.maximum);
    schema = feature.type === 'number' ? bounded : bounded.refine(Number.isInteger);
  }
  return schema.meta({
    description: [feature.meaning.en, feature.unit && `(${feature.unit.en})`, describeAllowed(feature)]
      .filter(Boolean)
      .join(' '),
  });
}

function isFloat32(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= float32Max;
}

/** What `rawFeature` takes, at a tenth of its cost; a list has twelve million of them. It only ever says yes for zod. */
function createQuickCheck({ allowed, type }: Feature): (value: unknown) => boolean {
  if ('values' in allowed) return (value) => isFloat32(value) && allowed.values.includes(value);
  const { minimum = -Infinity, maximum = Infinity } = allowed;
  const isWhole = type === 'number' ? () => true : Number.isInteger;
  return (value) => isFloat32(value) && value >= minimum && value <= maximum && isWhole(value);
}

function describeAllowed({ allowed, type }: Feature): string {
  if ('values' in allowed) return allowed.values.join(', ');
  const { minimum, maximum } = allowed;
  if (type === 'integer' && minimum !== undefined)
    return `${minimum}, ${minimum + 1}, ${minimum + 2}, …${maximum === undefined ? '' : ` ${maximum}`}`;
  return [
    type === 'integer' ? '…, -1, 0, 1, …' : '',
    minimum === undefined ? '' : `>= ${minimum}`,
    maximum === undefined ? '' : `<= ${maximum}`,
  ]
    .filter((part) => part !== '')
    .join(' ');
}

function classify(value: unknown): InputFaultCode {
  if (value === undefined) return 'feature_missing';
  if (typeof value !== 'number') return 'not_a_number';
  if (!Number.isFinite(value)) return 'not_finite';
  if (Math.abs(value) > float32Max) return 'out_of_float32';
  return 'not_allowed_value';
}

function unusual(contract: Contract, raw: number[], place: (index: number) => string): InputFault[] {
  const found: InputFault[] = [];
  for (let i = 0; i < raw.length; i += 1) {
    const range = contract.features[i]?.trainingRange ?? null;
    const value = raw[i] as number;
    if (range !== null && (value < range.minimum || value > range.maximum))
      found.push({
        pointer: place(i),
        code: 'outside_training_range',
        expected: `${range.minimum} – ${range.maximum}`,
      });
  }
  return found;
}

/** One token of a JSON pointer (RFC 6901). */
export function escapePointer(token: string): string {
  return token.replaceAll('~', '~0').replaceAll('/', '~1');
}

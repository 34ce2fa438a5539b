import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as z from 'zod';
import { OperatorError } from '../operator-error.ts';

const localized = z.strictObject({ en: z.string().min(1), es: z.string().min(1) });

const featureSchema = z
  .strictObject({
    name: z.string().min(1).max(128),
    meaning: localized,
    names: localized,
    unit: localized.nullable(),
    type: z.enum(['integer', 'number', 'binary']),
    allowed: z.union([
      z.strictObject({ values: z.array(z.float32()).min(1) }),
      z.strictObject({ minimum: z.float32().optional(), maximum: z.float32().optional() }),
    ]),
    trainingRange: z.strictObject({ minimum: z.float32(), maximum: z.float32() }).nullable(),
    scaling: z.strictObject({ mean: z.number(), scale: z.number().positive() }),
    reference: z.strictObject({ edges: z.array(z.number()).min(2), counts: z.array(z.int().min(0)).min(1) }).nullable(),
  })
  .refine((f) => f.reference === null || f.reference.edges.length === f.reference.counts.length + 1, {
    path: ['reference'],
    error: 'needs one edge more than counts',
  });

const labelSchema = z.strictObject({
  code: z.union([z.int(), z.string().min(1)]),
  name: z.string().min(1),
  text: localized,
  positive: z.boolean(),
});

const goldenRowSchema = z.strictObject({
  features: z.record(z.string(), z.float32()),
  label: z.union([z.int(), z.string()]),
});

/** The fewest golden rows a contract may have, and how many of them (its first) travel with each call. */
export const minimumGoldenRows = 32;
export const goldenRowsPerCall = 8;

/** config/<model>/contract.json: what goes in, what comes out, and how to know that the right model answered. */
export const contractSchema = z
  .strictObject({
    contractVersion: z.literal(1),
    model: z.strictObject({
      name: z.string().min(1),
      version: z.string().min(1).nullable(),
      runId: z.string().min(1).nullable(),
    }),
    features: z.array(featureSchema).min(1),
    labels: z.array(labelSchema).min(2),
    goldenRows: z.array(goldenRowSchema).min(minimumGoldenRows),
    onnx: z.strictObject({ file: z.string().min(1), sha256: z.hex().length(64) }).nullable(),
    training: z.record(z.string(), z.unknown()).nullable(),
  })
  .check((context) => {
    for (const { path, message } of inconsistencies(context.value))
      context.issues.push({ code: 'custom', input: undefined, path, message });
  });

export type Contract = z.output<typeof contractSchema>;
export type Feature = Contract['features'][number];
export type LabelCode = Contract['labels'][number]['code'];
export type LabelKind = Contract['labels'][number];
export type GoldenRow = Contract['goldenRows'][number];

function* inconsistencies(contract: Pick<Contract, 'features' | 'labels' | 'goldenRows'>) {
  const names = contract.features.map((feature) => feature.name);
  const codes = contract.labels.map((label) => label.code);
  if (new Set(names).size < names.length) yield { path: ['features'], message: 'two features have the same name' };
  if (new Set(codes).size < codes.length) yield { path: ['labels'], message: 'two labels have the same code' };
  if (contract.labels.filter((label) => label.positive).length > 1)
    yield { path: ['labels'], message: 'at most one label is the positive one' };
  for (const [i, row] of contract.goldenRows.entries()) {
    const unequal = Object.keys(row.features).length !== names.length || names.some((name) => !(name in row.features));
    if (unequal) yield { path: ['goldenRows', i, 'features'], message: 'must have every feature, and no other' };
    if (!codes.includes(row.label))
      yield { path: ['goldenRows', i, 'label'], message: 'is not a label of the contract' };
  }
  const shown = new Set(contract.goldenRows.slice(0, goldenRowsPerCall).map((row) => row.label));
  if (shown.size < Math.min(codes.length, goldenRowsPerCall))
    yield { path: ['goldenRows'], message: `each label must occur among the first ${goldenRowsPerCall}` };
}

/** A contract that cannot be used; the message has a line for each fault. */
export class ContractError extends OperatorError {
  override name = 'ContractError';
}

/**
 * Checks a parsed contract.
 * @throws ContractError naming every fault and its place.
 */
export function checkContract(value: unknown, source: string): Contract {
  const parsed = contractSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => `  ${z.core.toDotPath(issue.path) || '(whole)'}: ${issue.message}`);
  throw new ContractError([`${source} is not a model contract:`, ...lines].join('\n'));
}

/** Reads and checks a contract file. @throws ContractError */
export function readContract(file: string): Contract {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new ContractError(`${file} cannot be read as JSON`, { cause });
  }
  return checkContract(value, file);
}

/**
 * The contracts of versions of one model. @throws ContractError when one cannot be used, or they do not go together.
 */
export function readContracts(files: readonly string[]): Contract[] {
  const contracts = files.map(readContract);
  const versions = new Set(contracts.map(({ model }) => model.version));
  if (new Set(contracts.map(({ model }) => model.name)).size > 1)
    throw new ContractError(`${files.join(', ')} are not contracts of one model`);
  if (versions.size < contracts.length || (contracts.length > 1 && versions.has(null)))
    throw new ContractError(`${files.join(', ')}: each of several contracts must name a version of its own`);
  return contracts;
}

/**
 * The bytes of the contract's ONNX copy, from the folder of the contract file.
 * @throws ContractError when there is none, or its SHA-256 is not the contract's.
 */
export function readOnnx(contract: Contract, contractFile: string): Buffer {
  if (contract.onnx === null) throw new ContractError(`${contractFile} names no ONNX copy of its model`);
  const file = join(dirname(contractFile), contract.onnx.file);
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    throw new ContractError(`${file}, the ONNX copy that the contract names, cannot be read`, { cause });
  }
  if (createHash('sha256').update(bytes).digest('hex') !== contract.onnx.sha256)
    throw new ContractError(`${file} is not the file that the contract names: its SHA-256 differs`);
  return bytes;
}

/** The label of this code, or undefined: a label outside the contract is never shown. */
export function labelOf(contract: Contract, code: LabelCode): LabelKind | undefined {
  return contract.labels.find((label) => label.code === code);
}

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { checkContract, type Contract, ContractError, goldenRowsPerCall } from '../contract/contract.ts';
import { readFeatureList } from '../contract/feature-list.ts';
import { createLogger } from '../logger.ts';
import { type Adoption, adoptContract } from '../model-guard/adopt-contract.ts';
import { createModelGuard } from '../model-guard/model-guard.ts';
import { createModelServerClient, remoteAddress } from '../model-server/model-server-client.ts';
import { readSettings, type Settings } from '../settings.ts';
import { lookAtVersions } from './look-at-versions.ts';

interface AdoptOptions {
  features: string;
  scaler?: string;
  out?: string;
  modelName: string;
  modelVersion?: string;
  yes?: boolean;
}

/** The contract in use, for a person to read. @throws OperatorError when there is none. */
export async function showContract(settings: Settings): Promise<string> {
  const { versions } = await lookAtVersions(settings);
  const { model, features, labels, goldenRows, onnx } = versions.contracts()[0] as Contract;
  return [
    settings.contractFiles?.[0] ?? `from the registry at ${settings.registry?.url}`,
    `model    ${model.name}, version ${model.version ?? 'not known'}, run ${model.runId ?? 'not known'}`,
    `labels   ${labels.map((label) => `${label.code} ${label.name} (${label.text.es})${label.positive ? ' +' : ''}`).join(', ')}`,
    `golden   ${goldenRows.length} rows, ${goldenRowsPerCall} of them in each call`,
    `ONNX     ${onnx ? `${onnx.file}, SHA-256 ${onnx.sha256}` : 'none'}`,
    'features, in the order of the model:',
    ...features.map(
      ({ name, type, unit, scaling }, i) =>
        `  ${String(i + 1).padStart(2)}  ${name.padEnd(32)} ${type}${unit ? `, ${unit.en}` : ''}; mean ${scaling.mean.toPrecision(6)}, scale ${scaling.scale.toPrecision(6)}`,
    ),
  ].join('\n');
}

/**
 * Adopts the model that the model server runs: asks it, shows what was found, and writes the contract when confirmed.
 * @returns whether it was written.
 */
export async function adopt(environment: NodeJS.ProcessEnv, options: AdoptOptions): Promise<boolean> {
  // The contract that is to be made is not there yet.
  const { MODEL_CONTRACT: wanted, ...others } = environment;
  const settings = readSettings(others);
  const out = options.out ?? (wanted === 'registry' ? undefined : wanted) ?? settings.contractFiles?.[0];
  if (out === undefined)
    throw new ContractError(
      'Say with --out where the contract goes. With MODEL_CONTRACT=registry, log it to the run of the version as the artifact contract/contract.json.',
    );
  if (settings.modelServer.remote === null)
    throw new ContractError('Set MODEL_SERVER_URL to the model server whose model is to be adopted.');
  const description = readFeatureList(readJson(options.features), options.scaler && readJson(options.scaler));
  const client = createModelServerClient({
    address: remoteAddress(settings.modelServer.remote),
    timeoutMs: settings.modelServer.timeoutMs,
  });
  try {
    const model = { name: options.modelName, version: options.modelVersion ?? null };
    const adoption = await adoptContract({ description, model, client });
    const contract = checkContract(adoption.contract, 'the adopted contract');
    await createModelGuard({ contracts: () => [contract], client, logger: createLogger({ level: 'silent' }) }).prove();
    console.log(describeAdoption(adoption, settings.modelServer.remote.url));
    if (!options.yes && !(await confirm(`Write this to ${out}?`))) return false;
    mkdirSync(dirname(out), { recursive: true });
    writeFileSync(out, `${JSON.stringify(contract, null, 2)}\n`);
    console.log(`Written to ${out}. Start the service with MODEL_CONTRACT=${out}.`);
    return true;
  } finally {
    client.close();
  }
}

function describeAdoption({ contract, seen, mistakes }: Adoption, url: string): string {
  const total = seen.reduce((sum, { rows }) => sum + rows, 0);
  return [
    `The model at ${url} was asked about ${total} made-up customers:`,
    ...seen.map(({ label, rows }) => {
      const kind = contract.labels.find(({ code }) => code === label);
      return `  ${label} ${kind?.name ?? ''}: ${rows} of them`;
    }),
    `${contract.goldenRows.length} golden rows recorded; those of each call show ${mistakes.shownByEachCall} of ${mistakes.all} mistakes`,
    '(two columns swapped, scaling exchanged or left out, order reversed) that can show at all.',
    `Golden rows, as ${contract.features.map((feature) => feature.name).join(', ')}:`,
    ...contract.goldenRows
      .slice(0, goldenRowsPerCall)
      .map((row) => `  ${Object.values(row.features).join('  ')}  →  ${row.label}`),
    'Do these labels look right to somebody who knows the model?',
  ].join('\n');
}

async function confirm(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^(y|yes|s|si|sí)$/i.test((await terminal.question(`${question} [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new ContractError(`${file} cannot be read as JSON`, { cause });
  }
}

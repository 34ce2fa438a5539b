#!/usr/bin/env node
import { Command, CommanderError, Option } from 'commander';
import dotenv from 'dotenv';
import packageJson from '../../package.json' with { type: 'json' };
import { roles } from '../access/roles.ts';
import { readSettings } from '../settings.ts';
import { adopt, showContract } from './contract.ts';
import { runDoctor } from './doctor.ts';
import { describeFailure } from '../failure.ts';
import { createKey, listKeys, revokeKey } from './keys.ts';
import { addLabelCommand } from './label/label-command.ts';

const wrongUse = 2;

dotenv.config({ quiet: true });
const program = new Command('customer-labels')
  .description('Labels customers with the model that MLflow serves. Settings come from the environment or .env.')
  .version(packageJson.version)
  .exitOverride();

addLabelCommand(program);

program
  .command('doctor')
  .description('try settings, database, model server, registry, clock and disk; one line each, with the cure')
  .action(async () => {
    process.exitCode = (await runDoctor(process.env, (line) => console.log(line))) ? 0 : 1;
  });

const keys = program.command('keys').description('API keys, for ACCESS=own');
const url = new Option('--url <url>', 'the running service, when its database is PGlite').default(
  undefined,
  'HOST and PORT',
);
keys
  .command('create')
  .description('make a key; it is shown once')
  .requiredOption('--name <name>', 'who or what uses it')
  .addOption(new Option('--role <role>', 'what it may do').choices(roles).makeOptionMandatory())
  .addOption(url)
  .action(async (options) => console.log(await createKey(readSettings(process.env), options)));
keys
  .command('list')
  .description('all keys: name, role, created, last used, revoked')
  .addOption(url)
  .action(async (options) => console.log(await listKeys(readSettings(process.env), options)));
keys
  .command('revoke <id>')
  .description('a revoked key is refused within seconds')
  .addOption(url)
  .action(async (id: string, options) => console.log(await revokeKey(readSettings(process.env), { id, ...options })));

const contract = program.command('contract').description('what goes into the model and what comes out');
contract
  .command('show')
  .description('the contract in use')
  .action(async () => console.log(await showContract(readSettings(process.env))));
contract
  .command('adopt')
  .description('make a contract for a model that was registered without one, by asking the running model server')
  .requiredOption(
    '--features <file>',
    "JSON: the features' names in the model's order, objects with more, or a contract",
  )
  .option('--scaler <file>', 'JSON: {"mean": […], "scale": […]} of the StandardScaler')
  .option('--out <file>', 'where to write it (default: MODEL_CONTRACT)')
  .option('--model-name <name>', 'as it is registered', 'rfc_tune')
  .option('--model-version <version>', 'the version that the server runs, where a person knows it')
  .option('--yes', 'write without asking')
  .action(async (options) => {
    process.exitCode = (await adopt(process.env, options)) ? 0 : 1;
  });

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : wrongUse;
  else {
    console.error(describeFailure(error));
    process.exitCode = 1;
  }
}

import { type Command, Option } from 'commander';
import { delimiters, encodings } from '../../list-files/list-format.ts';
import { label, type LabelOptions } from './label.ts';

/** Signals end the command in its own way once; the second one ends it at once. */
const endings = { SIGINT: 130, SIGTERM: 143 } as const;
/** npm and `timeout` send on what a terminal has sent already. */
const sameSignalMs = 500;

export function addLabelCommand(program: Command): void {
  const choice = (flags: string, text: string, choices: readonly string[]) => new Option(flags, text).choices(choices);
  program
    .command('label [file]')
    .description(
      'label a customer list (.csv, .txt, .tsv, .ndjson, .jsonl, or - for standard input) and write it back with its labels; ends with 0 when all are labelled, 3 when rows were rejected, 4 when something needed is down, 2 for wrong use',
    )
    .option('--url <url>', 'the running service that does it (default: a service inside this command)')
    .option('--key <key>', 'its API key (default: CUSTOMER_LABELS_KEY)')
    .option('--out <file>', 'where the labelled list goes (default: FILE.labelled beside it), - for standard output')
    .option('--rejected <file>', 'where rejected rows go (default: FILE.rejected beside it)')
    .option('--force', 'replace these files')
    .addOption(choice('--format <format>', 'what the file is, whatever its ending', ['csv', 'ndjson']))
    .addOption(choice('--decimal <sign>', 'decimal sign (default: found out)', [',', '.']))
    .addOption(
      choice('--delimiter <sign>', 'of the cells (default: found out)', [
        ...delimiters.filter((sign) => sign !== '\t'),
        'tab',
      ]),
    )
    .addOption(choice('--encoding <encoding>', 'of the text (default: found out)', encodings))
    .addOption(choice('--scale <scale>', 'of the numbers (default: raw)', ['raw', 'standardized']))
    .option('--dry-run', 'say how the list would be read and what is wrong with it; nothing is kept')
    .option('--wait <seconds>', 'how long something may be down (default: the model server for ever)')
    .option('--again', 'send a list that was labelled before as a new one')
    .option('--idempotency-key <key>', 'of the list (default: from its content)')
    .option('--stale', 'label again the stored customers whose label is stale, instead of a file')
    .option('--from-sql <query>', 'label the rows of a query, instead of a file: read-only, once a day')
    .option('--source-url <url>', 'postgres://… to ask (default: CUSTOMER_LABELS_SOURCE_URL)')
    .action(async (file: string | undefined, options: LabelOptions) => {
      const ending = new AbortController();
      let endedAt = 0;
      const handlers = Object.entries(endings).map(([name, status]) => {
        const handle = () => {
          if (!ending.signal.aborted) endedAt = performance.now();
          else if (performance.now() - endedAt > sameSignalMs) process.exit(status);
          ending.abort();
        };
        process.on(name, handle);
        return () => process.off(name, handle);
      });
      // Whoever reads the results may have gone
      process.stdout.on('error', () => ending.abort());
      try {
        process.exitCode = await label({ ...options, file }, process.env, ending.signal);
      } finally {
        for (const remove of handlers) remove();
      }
    });
}

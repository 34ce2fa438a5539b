import type { Locale } from '../../locale.ts';
import { describeErrors } from './dry-run-text.ts';
import { exitStatus, type ExitStatus } from './label-errors.ts';
import { textsIn } from './label-texts.ts';
import type { BatchView, ListService } from './list-service.ts';
import { type Outputs, writeWhole } from './output-files.ts';
import type { ProgressDisplay } from './progress-display.ts';

interface FinishOptions {
  outputs: Outputs;
  isNdjson: boolean;
  locale: Locale;
  display: ProgressDisplay;
}

/** Fetches what came of a list that has ended, and says it. */
export async function finishList(service: ListService, batch: BatchView, options: FinishOptions): Promise<ExitStatus> {
  const { outputs, isNdjson, locale, display } = options;
  const texts = textsIn(locale);
  const { state, reason, rows, modelVersions, errors } = batch;
  if (state === 'cancelled') {
    display.say(texts.cancelled);
    return exitStatus.failed;
  }
  const as = (file: string) => (isNdjson || /\.(ndjson|jsonl)$/i.test(file) ? 'ndjson' : 'csv');
  const write = async (what: 'results' | 'rejected', file: string) =>
    writeWhole(file, await service.download(batch.id, what, as(file)));

  const said: string[] = [];
  if (outputs.results !== null) {
    await write('results', outputs.results);
    if (outputs.results !== '-') said.push(texts.resultsIn(outputs.results));
  }
  if (rows.rejected > 0 && outputs.rejected !== null) {
    await write('rejected', outputs.rejected);
    if (outputs.rejected !== '-') said.push(texts.rejectedIn(outputs.rejected));
  } else if (rows.rejected > 0) said.push(texts.rejectedNowhere);

  const number = new Intl.NumberFormat(locale, { useGrouping: 'always' });
  const [total, labelled, rejected] = [rows.total, rows.labelled, rows.rejected].map((count) => number.format(count));
  const versions = Object.entries(modelVersions).map(([version, count]) =>
    texts.version(version, number.format(count)),
  );
  display.say(texts.summary(total as string, labelled as string, rejected as string, versions.join(', ')));
  if ('duplicates' in rows && Number(rows.duplicates) > 0)
    display.say(texts.duplicates(number.format(Number(rows.duplicates))));
  for (const line of describeErrors(errors, locale)) display.say(line);
  for (const line of said) display.say(line);
  if (reason === 'chunk_given_up') {
    display.say(texts.givenUp);
    return exitStatus.failed;
  }
  return state === 'succeeded' ? exitStatus.allLabelled : exitStatus.someRejected;
}

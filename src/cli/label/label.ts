import { createHash } from 'node:crypto';
import type { Scale } from '../../contract/feature-vector.ts';
import { describeFailure } from '../../failure.ts';
import type { DecimalSign } from '../../list-files/list-format.ts';
import { describeDryRun } from './dry-run-text.ts';
import { type FileSource, kindOf, openFileSource } from './file-source.ts';
import { followList, type Patience } from './follow-list.ts';
import { startInsideService } from './inside-service.ts';
import { exitStatus, type ExitStatus, InterruptedError, statusOf, WrongUseError } from './label-errors.ts';
import { localeOf, textsIn } from './label-texts.ts';
import { type BatchView, createListService, type ListService, type SentList } from './list-service.ts';
import { checkOutputs, planOutputs } from './output-files.ts';
import { createProgressDisplay } from './progress-display.ts';
import { checkSourceUrl, dayOf, keyOfQuery, readQuery } from './query-source.ts';
import { finishList } from './finish-list.ts';
import { sendList } from './send-list.ts';

export interface LabelOptions {
  file?: string | undefined;
  stale?: boolean;
  fromSql?: string;
  sourceUrl?: string;
  url?: string;
  key?: string;
  out?: string;
  rejected?: string;
  force?: boolean;
  format?: SentList['kind'];
  decimal?: DecimalSign;
  delimiter?: string;
  encoding?: string;
  scale?: Scale;
  dryRun?: boolean;
  again?: boolean;
  idempotencyKey?: string;
  wait?: string;
}

/** Where rows come from, and how they are sent. */
interface Source {
  key: string;
  isNdjson: boolean;
  /** Absent where the service has the rows. */
  list?: SentList;
  /** Whatever was labelled so before, there may be more by now. */
  isAlwaysNew?: boolean;
}

interface Run extends Patience {
  options: LabelOptions;
  environment: NodeJS.ProcessEnv;
  parts: AsyncDisposableStack;
}

/** Labels a list and writes it back. Everything that goes wrong is said here. @returns what the process ends with */
export async function label(
  options: LabelOptions,
  environment: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<ExitStatus> {
  const locale = localeOf(environment);
  const display = createProgressDisplay({ stream: process.stderr, locale });
  try {
    const waitMs = readWait(options, locale);
    await using parts = new AsyncDisposableStack();
    return await run({ options, environment, locale, display, signal, waitMs, parts });
  } catch (error) {
    display.say(
      signal.aborted && !(error instanceof InterruptedError) ? textsIn(locale).interrupted : describeFailure(error),
    );
    return statusOf(error);
  } finally {
    display.end();
  }
}

async function run(given: Run): Promise<ExitStatus> {
  const { options, locale, display, signal, parts } = given;
  checkOptions(given);
  const file = options.file === undefined || options.file === '-' ? null : options.file;
  if (options.file !== undefined) await kindOf({ file: options.file, format: options.format, locale });
  const otherwise = options.file === '-' ? '-' : null;
  const outputs = planOutputs({ file, out: options.out, rejected: options.rejected, otherwise });
  if (!options.dryRun) await checkOutputs(outputs, { file, force: options.force ?? false, locale });
  const bytes =
    options.file === undefined
      ? undefined
      : parts.use(await openFileSource({ file: options.file, format: options.format, locale, signal }));

  const service = await openService(given);
  const source = await chooseSource(given, service, bytes);
  if (options.dryRun) {
    const report = await service.dryRun(source.list as SentList);
    display.end();
    console.log(describeDryRun(report, locale));
    return report.rows.rejected > 0 ? exitStatus.someRejected : exitStatus.allLabelled;
  }
  const batch = await watch(given, service, source);
  display.end();
  return finishList(service, batch, { outputs, locale, display, isNdjson: source.isNdjson });
}

/** Sends the list and follows it to its end. An interrupt says what becomes of it. */
async function watch(given: Run, service: ListService, source: Source): Promise<BatchView> {
  const { options, display, locale } = given;
  const texts = textsIn(locale);
  let sent: BatchView | undefined;
  try {
    sent = await sendList(service, {
      ...given,
      key: options.idempotencyKey ?? source.key,
      again: options.again ?? source.isAlwaysNew ?? false,
      send: (key) => (source.list ? service.send(source.list, key) : service.relabelStale(key)),
    });
    return await followList(service, sent.id, given);
  } catch (error) {
    display.end();
    const command = options.again ? texts.withoutAgain : texts.again;
    if (!sent) display.say(texts.nothingSent);
    else if (options.url === undefined) display.say(texts.goesOnInside(command));
    else display.say(texts.goesOn(service.url, sent.id, command));
    throw error;
  }
}

async function openService(given: Run): Promise<ListService> {
  const { options, environment, locale, display, signal, waitMs = 0, parts } = given;
  const texts = textsIn(locale);
  const { url } = options;
  if (url !== undefined) {
    if (!/^https?:$/.test(URL.parse(url)?.protocol ?? '')) throw new WrongUseError(texts.notAnAddress('--url'));
    display.say(texts.inUse(url));
    const key = options.key ?? (environment['CUSTOMER_LABELS_KEY'] || undefined);
    return createListService({ url: url.replace(/\/+$/, ''), key, locale, signal });
  }
  const inside = parts.use(await startInsideService({ environment, locale, waitMs, signal }));
  display.say(texts.inside);
  return createListService({ url: inside.url, key: inside.key, locale, signal });
}

async function chooseSource(given: Run, service: ListService, bytes: FileSource | undefined): Promise<Source> {
  const { options, environment, display, locale, signal } = given;
  const { decimal, delimiter, encoding, scale, fromSql: query } = options;
  if (bytes) {
    const said = Object.entries({ decimal, delimiter, encoding, scale }).filter(([, value]) => value !== undefined);
    const sent = Object.fromEntries(said) as Record<string, string>;
    const key = createHash('sha256')
      .update(JSON.stringify([bytes.kind, said, bytes.hash]))
      .digest('hex');
    const open = () => bytes.open((count) => display.sending(count, bytes.sizeBytes));
    return { key: `file-${key}`, isNdjson: bytes.kind === 'ndjson', list: { kind: bytes.kind, given: sent, open } };
  }
  if (query === undefined) return { key: `stale-${dayOf(new Date())}`, isNdjson: true, isAlwaysNew: true };
  const url = options.sourceUrl ?? environment['CUSTOMER_LABELS_SOURCE_URL'] ?? '';
  const { contract } = service;
  const asked = { query, url, decimal: decimal ?? '.', scale: scale ?? 'raw', locale, signal } as const;
  const open = () => readQuery({ ...asked, contract }, (count) => display.sending(count, null));
  return { key: keyOfQuery(asked, new Date()), isNdjson: true, list: { kind: 'ndjson', given: {}, open } };
}

/** @throws WrongUseError when options contradict each other */
function checkOptions({ options, environment, locale }: Run) {
  const texts = textsIn(locale);
  const { file, stale, fromSql, format } = options;
  if ([file, stale, fromSql].filter((one) => one !== undefined && one !== false).length !== 1)
    throw new WrongUseError(texts.oneSource);
  if (stale && options.dryRun) throw new WrongUseError(texts.noDryRun);
  if (fromSql !== undefined) {
    const url = options.sourceUrl ?? environment['CUSTOMER_LABELS_SOURCE_URL'];
    if (!url) throw new WrongUseError(texts.needsSourceUrl);
    checkSourceUrl(url, locale);
  }
  const isCsv = file !== undefined && (format ?? (/\.(ndjson|jsonl)$/i.test(file) ? 'ndjson' : 'csv')) === 'csv';
  for (const name of ['delimiter', 'encoding', 'decimal', 'scale'] as const) {
    const isForRows = fromSql !== undefined && (name === 'decimal' || name === 'scale');
    if (options[name] !== undefined && !isCsv && !isForRows) throw new WrongUseError(texts.onlyCsv(`--${name}`));
  }
}

function readWait({ wait }: LabelOptions, locale: Patience['locale']): number | undefined {
  if (wait === undefined) return undefined;
  if (!/^\d{1,7}$/.test(wait)) throw new WrongUseError(textsIn(locale).notSeconds);
  return Number(wait) * 1_000;
}

import { createHash } from 'node:crypto';
import type { Contract, Feature } from '../../contract/contract.ts';
import type { Scale } from '../../contract/feature-vector.ts';
import { openQuery, type OpenQuery } from '../../database/open-query.ts';
import { describeFault } from '../../errors.ts';
import { type HeaderMapping, mapHeader } from '../../list-files/map-header.ts';
import type { DecimalSign } from '../../list-files/list-format.ts';
import type { Locale } from '../../locale.ts';
import { OperatorError } from '../../operator-error.ts';
import { describeProblem } from './describe-problem.ts';
import { DependencyDownError, WrongUseError } from './label-errors.ts';
import { textsIn } from './label-texts.ts';
import { createRowWriter } from './query-rows.ts';
import { withPauses } from './with-pauses.ts';

interface QuerySourceOptions {
  query: string;
  url: string;
  /** Of numbers that the database has as text. */
  decimal: DecimalSign;
  scale: Scale;
  locale: Locale;
  signal: AbortSignal;
  contract(): Promise<Pick<Contract, 'features'>>;
}

/** Connection lost, refused or never made; also PostgreSQL that starts, stops or is full. */
const awayCodes = /^(08...|57P0.|53300|E[A-Z_]+)$/;

/** The service ends an upload that is silent for long, and a query may think for long. */
const signOfLifeMs = 10_000;

/** The same query on the same day, to the same database, has the same key: once a night, however often it is tried. */
export function keyOfQuery(
  { query, url, decimal, scale }: Pick<QuerySourceOptions, 'query' | 'url' | 'decimal' | 'scale'>,
  now: Date,
): string {
  const { host, pathname, username } = new URL(url);
  const asked = JSON.stringify([query.trim(), host, pathname, username, decimal, scale]);
  return `sql-${dayOf(now)}-${createHash('sha256').update(asked).digest('hex')}`;
}

/** Where the machine is. */
export function dayOf(now: Date): string {
  const digits = (value: number) => String(value).padStart(2, '0');
  return `${now.getFullYear()}-${digits(now.getMonth() + 1)}-${digits(now.getDate())}`;
}

/** @throws WrongUseError */
export function checkSourceUrl(url: string, locale: Locale): string {
  if (/^postgres(ql)?:$/.test(URL.parse(url)?.protocol ?? '')) return url;
  throw new WrongUseError(textsIn(locale).notAnAddress('--source-url'));
}

/** The query's rows as NDJSON, as fast as they are taken; blank lines, which are no rows, while it thinks. */
export async function* readQuery(
  options: QuerySourceOptions,
  onBytes: (count: number) => void,
): AsyncGenerator<Uint8Array> {
  let count = 0;
  for await (const rows of withPauses(readRows(options), signOfLifeMs)) {
    const bytes = Buffer.from(rows === 'pause' ? '\n' : rows);
    onBytes((count += bytes.length));
    yield bytes;
  }
}

async function* readRows(options: QuerySourceOptions): AsyncGenerator<string> {
  const { features } = await options.contract();
  let opened: OpenQuery | undefined;
  try {
    opened = await openQuery(options);
    const { columns } = opened;
    const mapping = mapColumns(columns, features, options.locale);
    const write = createRowWriter({ ...options, columns, mapping, features });
    let isEmpty = true;
    for await (const rows of opened.pages()) {
      isEmpty &&= rows.length === 0;
      yield rows.map(write).join('');
    }
    if (isEmpty) throw new OperatorError(textsIn(options.locale).sourceEmpty);
  } catch (error) {
    throw asKnown(error, options);
  } finally {
    await opened?.close().catch(() => {});
  }
}

function mapColumns(columns: OpenQuery['columns'], features: readonly Feature[], locale: Locale): HeaderMapping {
  const names = columns.map(({ name }) => name);
  const mapped = mapHeader(names, { features });
  if ('mapping' in mapped) return mapped.mapping;
  const errors = mapped.faults.map((fault) => describeFault(fault, locale));
  const problem = { title: textsIn(locale).sourceColumns, code: 'invalid_list', errors };
  throw new OperatorError(describeProblem(problem, { status: 422, url: '', locale }));
}

function asKnown(error: unknown, { url, locale }: QuerySourceOptions): unknown {
  if (error instanceof OperatorError || !Error.isError(error)) return error;
  const { code = '' } = error as NodeJS.ErrnoException;
  const texts = textsIn(locale);
  if (code !== '' && !awayCodes.test(code))
    return new OperatorError(texts.sourceRefused(error.message), { cause: error });
  // Of several addresses tried, the error has no words of its own
  const why = error.message || code;
  return new DependencyDownError(texts.sourceAway(new URL(url).host, why), { cause: error });
}

import type { Locale } from '../../locale.ts';
import { textsIn } from './label-texts.ts';
import type { DryRunReport } from './list-service.ts';

type Errors = { field: string; column: string | null; detail: string; rows: number; lines: number[] }[];

const shownErrors = 20;

/** The report of a dry run for a person: how the list was read and why, its first rows, and what is wrong with it. */
export function describeDryRun(report: DryRunReport, locale: Locale): string {
  const texts = textsIn(locale);
  const { dry } = texts;
  const number = new Intl.NumberFormat(locale, { useGrouping: 'always' });
  const { rows, format, columns, firstRows, errors, warnings } = report;
  return [
    dry.title,
    dry.rows(number.format(rows.total), number.format(rows.accepted), number.format(rows.rejected)),
    ...(rows.duplicates > 0 ? [dry.duplicates(number.format(rows.duplicates))] : []),
    ...(format ? ['', `${dry.format}:`, ...describeFormat(format, locale)] : []),
    ...(columns ? ['', `${dry.columns}:`, ...describeColumns(columns, locale)] : []),
    ...(firstRows.length > 0 ? ['', `${dry.firstRows}:`, ...describeRows(firstRows, locale)] : []),
    ...(errors.length > 0 ? ['', `${dry.errors}:`, ...describeErrors(errors, locale)] : []),
    ...(warnings.length > 0 ? ['', `${dry.warnings}:`, ...describeErrors(warnings, locale)] : []),
  ].join('\n');
}

/** One line a kind of error, the most frequent first. */
export function describeErrors(errors: Errors, locale: Locale): string[] {
  const texts = textsIn(locale);
  const lines = errors.slice(0, shownErrors).map(({ field, column, detail, rows, lines: numbers }) => {
    const where = column ?? (field === 'row' ? texts.row : field);
    return texts.errorLine(oneLine(where), detail, rows, `${numbers.join(', ')}${rows > numbers.length ? ', …' : ''}`);
  });
  return errors.length > shownErrors ? [...lines, texts.moreErrors(errors.length - shownErrors)] : lines;
}

function describeFormat(format: NonNullable<DryRunReport['format']>, locale: Locale): string[] {
  const { dry } = textsIn(locale);
  const { encoding, delimiter, decimal } = format;
  const why = (from: string) => dry.from[from] ?? from;
  const mark = encoding.byteOrderMark ? `, ${dry.byteOrderMark}` : '';
  const doubt = 'contradictory' in decimal && decimal.contradictory ? `; ${dry.contradictory}` : '';
  return table([
    [`  ${dry.encoding}`, `${encoding.is}${mark}`, why(encoding.from)],
    [`  ${dry.delimiter}`, delimiter.is === '\t' ? dry.tab : delimiter.is, why(delimiter.from)],
    [`  ${dry.decimal}`, decimal.is, `${why(decimal.from)}${doubt}`],
    [`  ${dry.lineEnding}`, format.lineEnding.replace('\r', 'CR').replace('\n', 'LF'), ''],
  ]);
}

function describeColumns(columns: NonNullable<DryRunReport['columns']>, locale: Locale): string[] {
  const { dry } = textsIn(locale);
  const list = (names: readonly string[]) => names.map(oneLine).join(', ');
  const others = [
    [dry.otherIds, columns.otherIds],
    [dry.carried, columns.carried],
    [dry.ignored, columns.ignored],
  ] as const;
  return [
    ...table([
      [`  ${dry.id}`, '←', oneLine(columns.id)],
      ...Object.entries(columns.features).map(([feature, column]) => [`  ${feature}`, '←', oneLine(column)]),
    ]),
    ...others.flatMap(([what, names]) => (names.length === 0 ? [] : [`  ${what}: ${list(names)}`])),
    ...(columns.scale === 'raw' ? [] : [`  ${dry.scale}: ${columns.scale}`]),
  ];
}

/** Features stand below each other: beside each other twelve names are wider than a terminal. */
function describeRows(rows: DryRunReport['firstRows'], locale: Locale): string[] {
  const { dry } = textsIn(locale);
  const names = Object.keys(rows[0]?.features ?? {});
  const number = new Intl.NumberFormat(locale, { maximumSignificantDigits: 15, useGrouping: false });
  return table([
    [`  ${dry.line}`, ...rows.map(({ line }) => String(line))],
    [`  ${dry.id}`, ...rows.map(({ customerId }) => customerId)],
    ...names.map((name) => [`  ${name}`, ...rows.map(({ features }) => number.format(features[name] as number))]),
  ]);
}

function table(rows: string[][]): string[] {
  const widths = (rows[0] ?? []).map((_cell, i) => Math.max(...rows.map((row) => (row[i] as string).length)));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] as number))
      .join('  ')
      .trimEnd(),
  );
}

/** Excel's headers have line breaks. */
function oneLine(name: string): string {
  return name.replaceAll(/\s+/g, ' ').trim();
}

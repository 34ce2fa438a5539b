import type { Contract } from '../contract/contract.ts';
import type { Locale } from '../locale.ts';
import type { FormatDecision } from './detect-format.ts';
import type { HeaderMapping } from './map-header.ts';
import { type AcceptedRow, describeRowFault, type ParsedRow, type RowFault } from './parsed-row.ts';

interface FaultCount extends RowFault {
  rows: number;
  /** The first of them, at most five. */
  lines: number[];
}

/** What was found in the rows looked at so far. Tallies of several pieces are merged, in the file's order. */
export interface ListTally {
  rows: number;
  accepted: number;
  firstRows: Pick<AcceptedRow<unknown>, 'lineNumber' | 'customerId' | 'vector'>[];
  errors: FaultCount[];
  warnings: FaultCount[];
}

const shownLines = 5;
const shownRows = 5;

export function tallyRows(parsed: readonly ParsedRow<unknown>[]): ListTally {
  const accepted = parsed.filter((row) => 'vector' in row);
  const errors = new Map<string, FaultCount>();
  const warnings = new Map<string, FaultCount>();
  for (const row of parsed)
    for (const fault of 'vector' in row ? row.warnings : row.faults)
      addFaults('vector' in row ? warnings : errors, { ...fault, rows: 1, lines: [row.lineNumber] });
  return {
    rows: parsed.length,
    accepted: accepted.length,
    firstRows: accepted
      .slice(0, shownRows)
      .map(({ lineNumber, customerId, vector }) => ({ lineNumber, customerId, vector })),
    errors: [...errors.values()],
    warnings: [...warnings.values()],
  };
}

export function mergeTallies(one: ListTally, other: ListTally): ListTally {
  const merge = (kind: 'errors' | 'warnings') => {
    const counts = new Map<string, FaultCount>();
    for (const count of [...one[kind], ...other[kind]]) addFaults(counts, { ...count, lines: [...count.lines] });
    return [...counts.values()];
  };
  return {
    rows: one.rows + other.rows,
    accepted: one.accepted + other.accepted,
    firstRows: [...one.firstRows, ...other.firstRows].slice(0, shownRows),
    errors: merge('errors'),
    warnings: merge('warnings'),
  };
}

function addFaults(counts: Map<string, FaultCount>, count: FaultCount) {
  const key = `${count.code} ${count.field}`;
  const known = counts.get(key);
  if (!known) counts.set(key, count);
  else {
    known.rows += count.rows;
    known.lines.push(...count.lines.slice(0, shownLines - known.lines.length));
  }
}

/** What a dry run says: how the file was understood and why, which column is what, the first rows, and the errors. */
export function describeList(
  tally: ListTally,
  options: {
    contract: Pick<Contract, 'features'>;
    csv?: { decision: FormatDecision; mapping: HeaderMapping };
    /** Accepted rows whose customer stands again further down. */
    duplicates: number;
    locale: Locale;
  },
) {
  const { contract, csv, duplicates, locale } = options;
  const names = contract.features.map(({ name }) => name);
  const described = (counts: readonly FaultCount[]) =>
    counts
      .map(({ rows, lines, ...fault }) => ({ ...describeRowFault(fault, locale), rows, lines }))
      .sort((a, b) => b.rows - a.rows);
  return {
    ...(csv && { format: describeFormat(csv.decision), columns: describeColumns(csv.mapping, names) }),
    rows: { total: tally.rows, accepted: tally.accepted, rejected: tally.rows - tally.accepted, duplicates },
    firstRows: tally.firstRows.map(({ lineNumber, customerId, vector }) => ({
      line: lineNumber,
      customerId,
      scale: vector.scale,
      features: Object.fromEntries(names.map((name, i) => [name, vector.given[i] as number])),
    })),
    errors: described(tally.errors),
    warnings: described(tally.warnings),
  };
}

function describeFormat({ format, encoding, delimiter, decimal, quoted }: FormatDecision) {
  const { delimiter: is, ...whyDelimiter } = delimiter;
  const { decimal: sign, ...whyDecimal } = decimal;
  return {
    encoding: { is: format.encoding, byteOrderMark: format.byteOrderMark, from: encoding.from },
    delimiter: { is, ...whyDelimiter },
    decimal: { is: sign, ...whyDecimal },
    lineEnding: format.lineEnding,
    sepLine: format.sepLine,
    quoted,
  };
}

function describeColumns(mapping: HeaderMapping, names: readonly string[]) {
  const nameOf = (column: number) => mapping.header[column] as string;
  return {
    id: nameOf(mapping.idColumn),
    otherIds: mapping.otherIdColumns.map(nameOf),
    features: Object.fromEntries(names.map((name, i) => [name, nameOf(mapping.featureColumns[i] as number)])),
    carried: mapping.carriedColumns.map(nameOf),
    ignored: mapping.ignoredColumns.map(nameOf),
    scale: mapping.scale,
  };
}

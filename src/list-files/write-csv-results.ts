import type { LabelCode } from '../contract/contract.ts';
import type { Locale } from '../locale.ts';
import { defuseFormula } from './defuse-formula.ts';
import type { CsvFormat } from './list-format.ts';
import type { HeaderMapping } from './map-header.ts';
import { describeRowFault, type RefusedRow } from './parsed-row.ts';
import { rejectedColumns } from './rejected-columns.ts';
import { writePreamble, writeRecords } from './write-csv.ts';

/** A row of the file with its label, or with why it has none. */
export type ResultRow<Input = string[]> = { input: Input } & (
  { label: LabelCode; text: string; probability: number | null; version: string | null } | { error: string }
);

interface WriterOptions {
  format: CsvFormat;
  mapping: Pick<HeaderMapping, 'header' | 'ignoredColumns'>;
}

export interface CsvWriter<Row> {
  /** What the file begins with, down to its header. */
  begin(): Buffer;
  rows(rows: readonly Row[]): Buffer;
}

export const resultColumns = ['label', 'text', 'probability', 'version', 'error'] as const;
const probabilityPlaces = 1e6;

/** Writes the file back as it was written, its columns and cells in their order, with the columns of the label behind. */
export function createCsvResultWriter({ format, mapping }: WriterOptions): CsvWriter<ResultRow> {
  const original = createOriginalCells({ format, mapping });
  const names = resultColumns.map((name) => freeName(name, mapping.header));
  const shown = (text: string) => defuseFormula(text, format.decimal);

  function added(row: ResultRow): string[] {
    if ('error' in row) return ['', '', '', '', shown(row.error)];
    const probability = row.probability === null ? '' : writeProbability(row.probability, format);
    return [shown(String(row.label)), shown(row.text), probability, shown(row.version ?? ''), ''];
  }

  return {
    begin: () => Buffer.concat([writePreamble(format), writeRecords([[...original.header, ...names]], format)]),
    rows: (rows) =>
      writeRecords(
        rows.map((row) => [...original.cellsOf(row.input), ...added(row)]),
        format,
      ),
  };
}

/**
 * Writes refused rows with line, field, code and reason behind them, so that the list can be mended and sent again as it
 * is. What a row has beyond the header's columns stands at its end.
 */
export function createCsvRejectedWriter(options: WriterOptions & { locale: Locale }): CsvWriter<RefusedRow> {
  const { format, mapping, locale } = options;
  const original = createOriginalCells({ format, mapping });

  function added({ lineNumber, faults }: RefusedRow): string[] {
    const described = faults.map((fault) => describeRowFault(fault, locale));
    const joined = (part: (fault: (typeof described)[number]) => string) => described.map(part).join(' | ');
    const cells = [
      joined(({ column, field }) => column ?? field),
      joined(({ code }) => code),
      joined(({ detail }) => detail),
    ];
    return [String(lineNumber), ...cells].map((cell) => defuseFormula(cell, format.decimal));
  }

  return {
    begin: () =>
      Buffer.concat([writePreamble(format), writeRecords([[...original.header, ...rejectedColumns]], format)]),
    rows: (rows) =>
      writeRecords(
        rows.map((row) => [...original.cellsOf(row.input), ...added(row), ...original.surplusOf(row.input)]),
        format,
      ),
  };
}

/** The file's own cells, as many as its header has, without the columns of an earlier list of rejected rows. */
function createOriginalCells({ format, mapping: { header, ignoredColumns } }: WriterOptions) {
  const kept = [...header.keys()].filter((column) => !ignoredColumns.includes(column));
  const cellsOf = (cells: readonly string[]) =>
    kept.map((column) => defuseFormula(cells[column] ?? '', format.decimal));
  return {
    header: cellsOf(header),
    cellsOf,
    surplusOf: (cells: readonly string[]) =>
      cells.slice(header.length).map((cell) => defuseFormula(cell, format.decimal)),
  };
}

function writeProbability(probability: number, { decimal }: CsvFormat): string {
  return String(Math.round(probability * probabilityPlaces) / probabilityPlaces).replace('.', decimal);
}

/** The name, or the first of `name_2`, `name_3`, … that the file has not. */
function freeName(name: string, header: readonly string[]): string {
  const taken = new Set(header.map((one) => one.toLowerCase()));
  let free = name;
  for (let i = 2; taken.has(free); i += 1) free = `${name}_${i}`;
  return free;
}

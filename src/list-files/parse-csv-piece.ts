import { isUtf8 } from 'node:buffer';
import type { Contract } from '../contract/contract.ts';
import { createFeatureParser, type ParseFeatures } from '../contract/feature-vector.ts';
import type { InputFault } from '../errors.ts';
import { isCustomerId } from '../labels/given-customer.ts';
import type { CsvFormat, Piece } from './list-format.ts';
import type { HeaderMapping } from './map-header.ts';
import type { ParsedRow, RowFault } from './parsed-row.ts';
import { createNumberReader, createYesNoReader, isYesNo, readCustomerId } from './read-cell.ts';
import { eachRecord, isBlank } from './read-records.ts';

interface ParserOptions {
  format: CsvFormat;
  mapping: HeaderMapping;
  contract: Contract;
}

const placeOfFeature = '#/features/'.length;

/**
 * Makes the parser of a file's pieces: every row of a piece with its features as the contract takes them, or with all that
 * is wrong with it. Empty cells beyond the header's columns are no fault.
 */
export function createCsvPieceParser({
  format,
  mapping,
  contract,
}: ParserOptions): (piece: Piece) => Iterable<ParsedRow> {
  const { header, idColumn, featureColumns, scale } = mapping;
  const parse: ParseFeatures = createFeatureParser(contract);
  const readNumberCell = createNumberReader(format);
  const readYesNoCell = createYesNoReader(readNumberCell);
  const readers = contract.features.map((feature) =>
    scale === 'raw' && isYesNo(feature) ? readYesNoCell : readNumberCell,
  );
  const columnFault = (field: string, column: number, { code, expected }: Pick<InputFault, 'code' | 'expected'>) => ({
    field,
    column: header[column] ?? null,
    code,
    ...(expected !== undefined && { expected }),
  });
  const rowFault = (code: RowFault['code'], expected?: string | number): RowFault[] => [
    { field: 'row', column: null, code, ...(expected !== undefined && { expected }) },
  ];

  /** A fault that the contract's check found in the vector. */
  function featureFault({ pointer, ...fault }: InputFault): RowFault {
    const i = Number(pointer.slice(placeOfFeature));
    return columnFault(contract.features[i]?.name ?? 'features', featureColumns[i] as number, fault);
  }

  function findRowFault(cells: readonly string[], textIsSound: boolean): RowFault[] | undefined {
    if (cells.length < header.length || !areEmpty(cells, header.length)) return rowFault('column_count', header.length);
    if (!textIsSound && cells.some((cell) => cell.includes('\uFFFD'))) return rowFault('broken_text', format.encoding);
    if ((cells[idColumn] as string) === '' && areEmpty(cells, 0)) return rowFault('row_empty');
    return undefined;
  }

  function readRow(cells: string[], place: { row: number; lineNumber: number }, textIsSound: boolean): ParsedRow {
    const id = readCustomerId(cells[idColumn] ?? '');
    const customerId = isCustomerId(id) ? id : null;
    const broken = findRowFault(cells, textIsSound);
    if (broken) return { ...place, input: cells, customerId, faults: broken };

    const faults: RowFault[] = [];
    if (customerId === null) faults.push(columnFault('id', idColumn, { code: 'invalid_customer_id' }));
    const features: number[] = [];
    for (let i = 0; i < featureColumns.length; i += 1) {
      const column = featureColumns[i] as number;
      const value = (readers[i] as (typeof readers)[number])(cells[column] as string);
      if (typeof value !== 'number') faults.push(columnFault(contract.features[i]?.name as string, column, value));
      features.push(typeof value === 'number' ? value : Number.NaN);
    }
    const parsed = parse({ features, scale });
    if ('faults' in parsed) {
      const known = new Set(faults.map(({ field }) => field));
      faults.push(...parsed.faults.map(featureFault).filter(({ field }) => !known.has(field)));
    }
    if (customerId === null || faults.length > 0 || !('vector' in parsed))
      return { ...place, input: cells, customerId, faults };
    const { row, lineNumber } = place;
    const warnings = parsed.vector.warnings.map(featureFault);
    return { row, lineNumber, input: cells, customerId, vector: parsed.vector, warnings };
  }

  return function* parsePiece(piece) {
    const textIsSound = format.encoding === 'windows-1252' || isUtf8(piece.bytes);
    let row = piece.firstRow;
    for (const { cells, lineNumber } of eachRecord(piece, format)) {
      if (isBlank(cells)) continue;
      yield readRow(cells, { row, lineNumber }, textIsSound);
      row += 1;
    }
  };
}

function areEmpty(cells: readonly string[], from: number): boolean {
  for (let i = from; i < cells.length; i += 1) if ((cells[i] as string).trim() !== '') return false;
  return true;
}

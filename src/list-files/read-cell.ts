import type { Feature } from '../contract/contract.ts';
import type { InputFault } from '../errors.ts';
import { classifyCell } from './decimal-evidence.ts';
import type { CsvFormat } from './list-format.ts';
import { readNumber } from './read-number.ts';

export type CellFault = Pick<InputFault, 'code' | 'expected'>;

export type ReadCell = (cell: string) => number | CellFault;

const yesNo = new Map([
  ...['si', 'sí', 's', 'yes', 'y', 'true', 'verdadero'].map((word) => [word, 1] as const),
  ...['no', 'n', 'false', 'falso'].map((word) => [word, 0] as const),
]);
const yesNoExamples = '0, 1, Sí, No, Yes, No, true, false';
const missing: CellFault = { code: 'feature_missing' };

/** Reads the cells of a column that has numbers, as the file writes them. */
export function createNumberReader({
  decimal,
  refuseAmbiguous,
}: Pick<CsvFormat, 'decimal' | 'refuseAmbiguous'>): ReadCell {
  return (cell) => {
    if (refuseAmbiguous && classifyCell(cell) === 'ambiguous') {
      const readings = [readNumber(cell, ','), readNumber(cell, '.')];
      return { code: 'ambiguous_number', expected: readings.join(' / ') };
    }
    return readNumber(cell, decimal) ?? (cell.trim() === '' ? missing : { code: 'not_a_number' });
  };
}

/** Reads the cells of a yes/no feature: words in Spanish and English, or numbers. */
export function createYesNoReader(readNumberCell: ReadCell): ReadCell {
  return (cell) => {
    if (cell === '1') return 1;
    if (cell === '0') return 0;
    const word = yesNo.get(cell.trim().toLowerCase());
    if (word !== undefined) return word;
    const value = readNumberCell(cell);
    if (typeof value === 'number' || value === missing) return value;
    return { code: 'not_allowed_value', expected: yesNoExamples };
  };
}

export function isYesNo({ type, allowed }: Feature): boolean {
  return type === 'binary' && 'values' in allowed && allowed.values.every((value) => value === 0 || value === 1);
}

/**
 * The id as text, however much it looks like a number; without spaces around it, and without what keeps a spreadsheet
 * from changing it: `="00123"`, or the apostrophe that `defuseFormula` put before it.
 */
export function readCustomerId(cell: string): string {
  const trimmed = cell.trim();
  // Nearly every id
  if (!trimmed.startsWith("'") && !trimmed.startsWith('=')) return trimmed;
  const text = trimmed.replace(/^'(?=[=+\-@＝＋－＠])/, '');
  const [, quoted] = /^="([^"]*)"$/.exec(text) ?? [];
  return quoted ?? text;
}

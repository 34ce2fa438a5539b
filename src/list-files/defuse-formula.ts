import type { DecimalSign } from './list-format.ts';
import { readNumber } from './read-number.ts';

const formulaStart = /^[=+\-@\t\r\n＝＋－＠]/;
const plainNumber = /^[+-]?\d+(?:[.,]\d+)?$/;

/** A cell that a spreadsheet would run as a formula, with an apostrophe before it; numbers stay numbers. */
export function defuseFormula(cell: string, decimal: DecimalSign): string {
  if (!formulaStart.test(cell) || plainNumber.test(cell) || readNumber(cell, decimal) !== undefined) return cell;
  return `'${cell}`;
}

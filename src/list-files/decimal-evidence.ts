import type { DecimalSign } from './list-format.ts';
import { undecorate } from './read-number.ts';

interface Cells {
  cells: number;
  /** The first few of them. */
  examples: string[];
}

/** Cells that can only be numbers with a decimal comma, only with a decimal point, or either: `1.234`. */
export interface DecimalEvidence {
  comma: Cells;
  point: Cells;
  ambiguous: Cells;
}

const maxExamples = 3;
const noCells = (): Cells => ({ cells: 0, examples: [] });

export function noDecimalEvidence(): DecimalEvidence {
  return { comma: noCells(), point: noCells(), ambiguous: noCells() };
}

/** What these columns' cells say; evidence of several pieces is merged with `mergeDecimalEvidence`. */
export function findDecimalEvidence(rows: readonly (readonly string[])[], columns: readonly number[]): DecimalEvidence {
  const evidence = noDecimalEvidence();
  for (const row of rows)
    for (const column of columns) {
      const cell = row[column] ?? '';
      const said = classifyCell(cell);
      if (said) addCell(evidence[said], cell);
    }
  return evidence;
}

function addCell(cells: Cells, cell: string) {
  cells.cells += 1;
  if (cells.examples.length === maxExamples) return;
  const example = cell.trim();
  if (!cells.examples.includes(example)) cells.examples.push(example);
}

export function mergeDecimalEvidence(one: DecimalEvidence, other: DecimalEvidence): DecimalEvidence {
  const merge = (kind: keyof DecimalEvidence): Cells => ({
    cells: one[kind].cells + other[kind].cells,
    examples: [...new Set([...one[kind].examples, ...other[kind].examples])].slice(0, maxExamples),
  });
  return { comma: merge('comma'), point: merge('point'), ambiguous: merge('ambiguous') };
}

/** Nearly every cell that has a sign. */
const plain = /^\d+[.,]\d+$/;
const both = /^[1-9]\d{0,2}(?:([.,])\d{3})+([.,])\d+$/;
const manyGroups = /^[1-9]\d{0,2}(?:([.,])\d{3})(?:\1\d{3})+$/;
const oneSign = /^(\d*)([.,])(\d+)(e[+-]?\d+)?$/i;
const spacedGroups = /^[1-9]\d{0,2}(?:([\s'’])\d{3})(?:\1\d{3})*([.,])\d+$/;

/** Whether a cell, or any cell of a file's text, may show a decimal sign at all. */
export function mayShowDecimals(text: string): boolean {
  return /[.,]\d/.test(text);
}

/** Which decimal sign a cell shows; undefined when it is no number, or has neither sign. */
export function classifyCell(cell: string): keyof DecimalEvidence | undefined {
  if (!mayShowDecimals(cell)) return undefined;
  if (plain.test(cell)) return classifyPlain(cell);
  const { body } = undecorate(cell);
  const [, , spacedDecimal] = spacedGroups.exec(body) ?? [];
  if (spacedDecimal) return named(spacedDecimal);
  const [, thousands, decimal] = both.exec(body) ?? [];
  if (decimal && thousands !== decimal) return named(decimal);
  const [, repeated] = manyGroups.exec(body) ?? [];
  if (repeated) return named(repeated === '.' ? ',' : '.');
  const [, whole = '', sign, fraction = '', exponent] = oneSign.exec(body) ?? [];
  if (sign === undefined) return undefined;
  const couldBeThousands = fraction.length === 3 && /^[1-9]\d{0,2}$/.test(whole) && exponent === undefined;
  return couldBeThousands ? 'ambiguous' : named(sign);
}

function classifyPlain(cell: string): keyof DecimalEvidence {
  const comma = cell.indexOf(',');
  const whole = comma === -1 ? cell.indexOf('.') : comma;
  if (whole <= 3 && cell.length - whole === 4 && !cell.startsWith('0')) return 'ambiguous';
  return comma === -1 ? 'point' : 'comma';
}

function named(sign: string): 'comma' | 'point' {
  return sign === ',' ? 'comma' : 'point';
}

export interface DecimalDecision extends DecimalEvidence {
  decimal: DecimalSign;
  from: 'given' | 'cells' | 'delimiter';
  /** There are cells of both kinds; those of the other sign are no numbers in this file. */
  contradictory: boolean;
  /** They are so many that a cell which either sign could read is refused, too. */
  refuseAmbiguous: boolean;
}

/** Of the cells that say something: fewer than this share against the rest are slips of single rows. */
const slips = 0.05;

/** One decision a file: given, else what most cells say that can only be read one way, else what goes with its delimiter. */
export function decideDecimal(
  evidence: DecimalEvidence,
  { given, delimiter }: { given: DecimalSign | undefined; delimiter: string },
): DecimalDecision {
  const { comma, point } = evidence;
  if (given) return { ...evidence, decimal: given, from: 'given', contradictory: false, refuseAmbiguous: false };
  const fewer = Math.min(comma.cells, point.cells);
  const doubt = { contradictory: fewer > 0, refuseAmbiguous: fewer > slips * (comma.cells + point.cells) };
  if (comma.cells !== point.cells)
    return { ...evidence, decimal: comma.cells > point.cells ? ',' : '.', from: 'cells', ...doubt };
  return { ...evidence, decimal: delimiter === ';' ? ',' : '.', from: 'delimiter', ...doubt };
}

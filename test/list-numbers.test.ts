import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  classifyCell,
  decideDecimal,
  findDecimalEvidence,
  mergeDecimalEvidence,
  noDecimalEvidence,
} from '../src/list-files/decimal-evidence.ts';
import { defuseFormula } from '../src/list-files/defuse-formula.ts';
import { createNumberReader, createYesNoReader, readCustomerId } from '../src/list-files/read-cell.ts';
import { readNumber } from '../src/list-files/read-number.ts';

const nbsp = '\u00A0';
const narrow = '\u202F';

describe('a cell as a number', () => {
  it.each<[string, number | undefined, number | undefined]>([
    // cell, in a file with decimal comma, in one with decimal point
    ['184', 184, 184],
    ['184,5', 184.5, undefined],
    ['184.5', undefined, 184.5],
    ['1.234', 1234, 1.234],
    ['1,234', 1.234, 1234],
    ['1.234,56', 1234.56, undefined],
    ['1,234.56', undefined, 1234.56],
    ['1.234.567', 1234567, undefined],
    ['1,234,567', undefined, 1234567],
    ['1.23.456', undefined, undefined],
    ['12.34', undefined, 12.34],
    ['0.123', undefined, 0.123],
    ['1234.567', undefined, 1234.567],
    ['1.2345,6', undefined, undefined],
    ['1.234,56 €', 1234.56, undefined],
    [`1.234,56${nbsp}€`, 1234.56, undefined],
    ['€ 1.234,56', 1234.56, undefined],
    ['$1,234.56', undefined, 1234.56],
    ['-$1,234.56', undefined, -1234.56],
    ['$-1,234.56', undefined, -1234.56],
    ['MX$1,234.56', undefined, 1234.56],
    ['1234.5 MXN', undefined, 1234.5],
    ['(1.234,50)', -1234.5, undefined],
    ['(1.234,50 €)', -1234.5, undefined],
    ['(-5)', undefined, undefined],
    ['12,5-', -12.5, undefined],
    ['\u22125', -5, -5],
    ['+5', 5, 5],
    ['+-5', undefined, undefined],
    ['1 234,5', 1234.5, undefined],
    [`1${narrow}234${narrow}567,5`, 1234567.5, undefined],
    ["1'234.5", undefined, 1234.5],
    ['1’234.5', undefined, 1234.5],
    ['1 23', undefined, undefined],
    [' 7 ', 7, 7],
    ['1E5', 100000, 100000],
    ['1,5e-3', 0.0015, undefined],
    ['1.5E+3', undefined, 1500],
    [',5', 0.5, undefined],
    ['.5', undefined, 0.5],
    ['5,', undefined, undefined],
    ['007', 7, 7],
    ['-0', -0, -0],
    ['9007199254740993', 9007199254740992, 9007199254740992],
    ['1e999', Infinity, Infinity],
    ['12 %', undefined, undefined],
    ['12%', undefined, undefined],
    ['n/d', undefined, undefined],
    ['#N/A', undefined, undefined],
    ['0x10', undefined, undefined],
    ['Infinity', undefined, undefined],
    ['NaN', undefined, undefined],
    ['1_000', undefined, undefined],
    ['24/11/2026', undefined, undefined],
    ['1,2,3', undefined, undefined],
    ['1.234.56', undefined, undefined],
    ['١٢', undefined, undefined],
    ['-', undefined, undefined],
    ['', undefined, undefined],
    ['€', undefined, undefined],
    ['()', undefined, undefined],
  ])('%j is %s and %s', (cell, withComma, withPoint) => {
    expect([readNumber(cell, ','), readNumber(cell, '.')]).toEqual([withComma, withPoint]);
  });

  it.each([
    ['es-ES', ','],
    ['es-MX', '.'],
    ['fr-FR', ','],
    ['de-CH', '.'],
    ['en-US', '.'],
  ] as const)('is read as ICU writes it for %s', (locale, decimal) => {
    const style = fc.constantFrom(
      {},
      { style: 'currency', currency: locale === 'es-MX' ? 'MXN' : 'EUR' } as const,
      {
        style: 'currency',
        currency: 'EUR',
        currencySign: 'accounting',
      } as const,
    );
    fc.assert(
      fc.property(
        fc.integer({ min: -99_999_999_999, max: 99_999_999_999 }),
        style,
        fc.boolean(),
        (cents, style, grouped) => {
          const useGrouping = grouped ? 'always' : false;
          const shape = { useGrouping, minimumFractionDigits: 2, maximumFractionDigits: 2 } as const;
          const text = new Intl.NumberFormat(locale, { ...style, ...shape }).format(cents / 100);
          expect([text, readNumber(text, decimal)]).toEqual([text, cents / 100]);
        },
      ),
    );
  });

  it('is what JavaScript reads, for every plain decimal', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(readNumber(String(value), '.')).toBe(Number(String(value)));
        expect(readNumber(String(value).replace('.', ','), ',')).toBe(Number(String(value)));
      }),
      { numRuns: 2_000 },
    );
  });

  it('has one meaning at most where it says that it is not ambiguous', () => {
    const cell = fc.string({ unit: fc.constantFrom(...Array.from('0123456789.,-')), maxLength: 10 });
    fc.assert(
      fc.property(cell, (cell) => {
        const kind = classifyCell(cell);
        const readings = { ',': readNumber(cell, ','), '.': readNumber(cell, '.') };
        if (kind === 'comma') expect(readings['.']).toBeUndefined();
        if (kind === 'point') expect(readings[',']).toBeUndefined();
        if (readings[','] !== undefined && readings['.'] !== undefined && readings[','] !== readings['.'])
          expect(kind).toBe('ambiguous');
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('the decimal sign of a file', () => {
  it.each([
    ['1.234,56', 'comma'],
    ['1,234.56', 'point'],
    ['1.234.567', 'comma'],
    ['1,234,567', 'point'],
    ['12,5', 'comma'],
    ['12.50', 'point'],
    ['0,125', 'comma'],
    ['1234,567', 'comma'],
    ['1.234', 'ambiguous'],
    ['123,456', 'ambiguous'],
    ['-1.234 €', 'ambiguous'],
    ['(12,5)', 'comma'],
    ['1 234,567', 'comma'],
    ['1.5E3', 'point'],
    ['1234', undefined],
    ['24.11.2026', undefined],
    ['192.168.0.1', undefined],
    ['Calle Mayor, 5', undefined],
    ['', undefined],
  ])('%j shows %s', (cell, kind) => {
    expect(classifyCell(cell)).toBe(kind);
  });

  const evidenceOf = (...cells: string[]) =>
    findDecimalEvidence(
      cells.map((cell) => [cell]),
      [0],
    );

  it('is what most unambiguous cells say, against the delimiter', () => {
    const decision = decideDecimal(evidenceOf('12.5', '3.25', '1.234'), { given: undefined, delimiter: ';' });
    expect(decision).toEqual({
      decimal: '.',
      from: 'cells',
      contradictory: false,
      refuseAmbiguous: false,
      comma: { cells: 0, examples: [] },
      point: { cells: 2, examples: ['12.5', '3.25'] },
      ambiguous: { cells: 1, examples: ['1.234'] },
    });
  });

  it.each([
    [';', ','],
    [',', '.'],
    ['\t', '.'],
    ['|', '.'],
  ])('goes with the delimiter %j where no cell says anything', (delimiter, decimal) => {
    const decision = decideDecimal(evidenceOf('1.234', '5'), { given: undefined, delimiter });
    expect(decision).toMatchObject({ decimal, from: 'delimiter', contradictory: false });
  });

  it('is contradictory when cells disagree, unless it is given', () => {
    const evidence = evidenceOf('12,5', '3.25', '7,1');
    expect(decideDecimal(evidence, { given: undefined, delimiter: ',' })).toMatchObject({
      decimal: ',',
      from: 'cells',
      contradictory: true,
    });
    expect(decideDecimal(evidence, { given: '.', delimiter: ',' })).toMatchObject({
      decimal: '.',
      from: 'given',
      contradictory: false,
    });
  });

  it.each([
    [99, 1, false],
    [95, 5, false],
    [94, 6, true],
    [5, 5, true],
    [100, 0, false],
  ])('with %i commas against %i points is in doubt: %s', (commas, points, refuseAmbiguous) => {
    const cells = [...Array.from({ length: commas }, () => '1,5'), ...Array.from({ length: points }, () => '1.5')];
    expect(decideDecimal(evidenceOf(...cells), { given: undefined, delimiter: ';' })).toMatchObject({
      decimal: ',',
      contradictory: points > 0,
      refuseAmbiguous,
    });
  });

  it('adds up over pieces', () => {
    const merged = mergeDecimalEvidence(evidenceOf('12,5', '1.234'), evidenceOf('7,1', '12,5', '3.25'));
    expect(merged).toEqual(evidenceOf('12,5', '1.234', '7,1', '12,5', '3.25'));
    expect(mergeDecimalEvidence(noDecimalEvidence(), merged)).toEqual(merged);
  });
});

describe('a cell of a list', () => {
  const readCell = createNumberReader({ decimal: ',', refuseAmbiguous: false });
  const yesNo = createYesNoReader(readCell);

  it.each(['Sí', 'si', 'SÍ', ' sí ', 'S', 'Yes', 'YES', 'y', 'true', 'TRUE', 'Verdadero', 'VERDADERO', '1', '1,0'])(
    '%j is yes',
    (cell) => expect(yesNo(cell)).toBe(1),
  );
  it.each(['No', 'NO', 'n', 'false', 'Falso', 'FALSO', '0', '0,00'])('%j is no', (cell) => expect(yesNo(cell)).toBe(0));
  it.each(['quizás', 'x', '-', 'sí o no', 'constructor', '__proto__'])('%j is neither', (cell) => {
    expect(yesNo(cell)).toMatchObject({ code: 'not_allowed_value', expected: expect.stringContaining('Sí, No') });
  });
  it('that is no 0 or 1 goes to the contract', () => expect(yesNo('2')).toBe(2));
  it.each(['', '  ', nbsp])('%j is missing', (cell) => {
    expect([yesNo(cell), readCell(cell)]).toEqual([{ code: 'feature_missing' }, { code: 'feature_missing' }]);
  });

  it('that either sign would read is refused where the file contradicts itself', () => {
    const readCell = createNumberReader({ decimal: ',', refuseAmbiguous: true });
    expect(readCell('1.234')).toEqual({ code: 'ambiguous_number', expected: '1234 / 1.234' });
    expect(readCell('1.234,5')).toBe(1234.5);
  });

  it.each([
    ['000123', '000123'],
    ['1E5', '1E5'],
    [' C1 ', 'C1'],
    ['="00123"', '00123'],
    ["'-5X", '-5X'],
    ["'=1+1", '=1+1'],
    ["'quoted'", "'quoted'"],
    ['=1+1', '=1+1'],
    ['1.234', '1.234'],
  ])('%j is the customer %j', (cell, id) => {
    expect(readCustomerId(cell)).toBe(id);
    expect(readCustomerId(defuseFormula(cell, ','))).toBe(id);
  });
});

describe('a cell that a spreadsheet would run', () => {
  it.each([
    '=1+1',
    "=cmd|' /C calc'!A0",
    '+1+cmd',
    '-2+3',
    '@SUM(1)',
    '\t=1',
    '\r=1',
    '\n=1',
    '＝1+1',
    '-',
    '+',
    '=5',
    '--5',
    '-5%',
    '+5;=1',
    '-1e5x',
  ])('%j gets an apostrophe', (cell) => expect(defuseFormula(cell, ',')).toBe(`'${cell}`));

  it.each(['-1,5', '-1.234,56 €', '+34', '-1.5', '-7', '(5)', '', 'Sí', "'=1", 'a=b', '1-2', ' =1'])(
    '%j stays as it is',
    (cell) => expect(defuseFormula(cell, ',')).toBe(cell),
  );
});

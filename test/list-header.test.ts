import { describe, expect, it } from '@jest/globals';
import type { InputFault } from '../src/errors.ts';
import { type GivenColumns, mapHeader } from '../src/list-files/map-header.ts';
import { features } from './support/read-list.ts';

const spanishNames = features.map(({ names }) => names.es);

describe('a header', () => {
  const map = (header: string[], given?: GivenColumns) => mapHeader(header, { features, ...(given && { given }) });
  const faultsOf = (header: string[], given?: GivenColumns): InputFault[] => {
    const mapped = map(header, given);
    return 'faults' in mapped ? mapped.faults : [];
  };
  const replaced = (i: number, name: string) => spanishNames.map((one, j) => (i === j ? name : one));

  it.each([
    ['id'],
    ['ID'],
    ['customer id'],
    ['customerId'],
    ['Customer_ID'],
    ['cliente'],
    ['Id. Cliente'],
    ['ID de cliente'],
    ['Código Cliente'],
    ['CODIGO_CLIENTE'],
    ['Cód. cliente'],
    ['Nº cliente'],
    ['N.º de cliente'],
    ['Número de cliente'],
    ['Identificador'],
  ])('has the id in %j', (name) => {
    const mapped = map(['Otra', ...spanishNames, name]);
    expect('mapping' in mapped ? [mapped.mapping.idColumn, mapped.mapping.carriedColumns] : mapped).toEqual([13, [0]]);
  });

  it('takes the most telling id column and says which others there are', () => {
    const mapped = map(['Cliente', ...spanishNames, 'Código cliente', 'id']);
    expect(mapped).toMatchObject({ mapping: { idColumn: 13, otherIdColumns: [14, 0], carriedColumns: [0, 14] } });
  });

  it('may mix the contract’s names in any language and writing, with line breaks as Excel has them', () => {
    const mixed = features.map(({ name, names }, i) =>
      i % 3 === 0 ? names.en.toUpperCase() : i % 3 === 1 ? name.replaceAll('_', ' ') : names.es.replaceAll(' ', '\n'),
    );
    expect(map(['id', ...mixed])).toMatchObject({ mapping: { featureColumns: features.map((_, i) => i + 1) } });
  });

  it('says everything that is wrong with it', () => {
    const header = [
      '',
      '__proto__',
      'a\u0007',
      'x'.repeat(257),
      'Notas',
      'Notas',
      'Minuts de dia',
      ...spanishNames.filter((_, i) => i !== 2 && i !== 4),
    ];
    expect(faultsOf(header)).toEqual([
      { pointer: '#/header/0', code: 'column_name_refused', expected: 256 },
      { pointer: '#/header/1', code: 'column_name_refused', expected: 256 },
      { pointer: '#/header/2', code: 'column_name_refused', expected: 256 },
      { pointer: '#/header/3', code: 'column_name_refused', expected: 256 },
      { pointer: '#/header/5', code: 'duplicate_column', expected: 'Notas' },
      { pointer: '#/columns/id', code: 'column_missing' },
      { pointer: '#/columns/total_day_minutes', code: 'column_missing', expected: 'Minuts de dia' },
      { pointer: '#/columns/total_night_minutes', code: 'column_missing' },
    ]);
  });

  it.each(['constructor', 'toString', 'prototype', 'hasOwnProperty', '\u0000', 'a\uD800'])(
    'is refused with %j',
    (name) => {
      expect(faultsOf(['id', ...spanishNames, name])).toEqual([
        { pointer: '#/header/13', code: 'column_name_refused', expected: 256 },
      ]);
    },
  );

  it('is refused with two columns for one feature', () => {
    expect(faultsOf(['id', ...spanishNames, 'total_day_minutes', 'Day minutes'])).toEqual([
      {
        pointer: '#/columns/total_day_minutes',
        code: 'column_ambiguous',
        expected: 'total_day_minutes, Day minutes, Minutos de día',
      },
    ]);
  });

  it('can be told its columns', () => {
    const header = ['Ref', ...replaced(2, 'MD'), 'id'];
    expect(map(header, { id: 'ref', features: { total_day_minutes: 'md' } })).toMatchObject({
      mapping: { idColumn: 0, featureColumns: features.map((_, i) => i + 1), carriedColumns: [13] },
    });
    expect(faultsOf(header, { id: 'Ref', features: { total_day_minutes: 'Ref', total_eve_minutes: 'MD' } })).toEqual([
      { pointer: '#/columns/total_day_minutes', code: 'column_taken', expected: 'Ref' },
    ]);
    expect(faultsOf(['id', ...spanishNames], { features: { total_day_minutes: 'Minutos de tarde' } })).toEqual([
      { pointer: '#/columns/total_eve_minutes', code: 'column_missing' },
    ]);
    expect(faultsOf(header, { id: 'Nada', features: { total_day_minutes: 'Nada', other: 'x' } })).toEqual([
      { pointer: '#/columns/other', code: 'feature_unknown' },
      { pointer: '#/columns/id', code: 'column_unknown', expected: 'Nada' },
      { pointer: '#/columns/total_day_minutes', code: 'column_unknown', expected: 'Nada' },
    ]);
  });
});

import { distance } from 'fastest-levenshtein';
import type { Feature } from '../contract/contract.ts';
import { escapePointer, type Scale } from '../contract/feature-vector.ts';
import type { InputFault } from '../errors.ts';
import { comparable, idPreference, namesOf } from './column-names.ts';
import { isRejectedColumn } from './rejected-columns.ts';

/** Columns by feature name, and `id` for the customer's id, as the file's header has them. */
export interface GivenColumns {
  id?: string;
  features?: Record<string, string>;
}

/** Which column has what. Columns are numbers from 0. */
export interface HeaderMapping {
  /** As the file has it, without empty names at its end. */
  header: string[];
  idColumn: number;
  /** In the contract's order. */
  featureColumns: number[];
  /** Neither the id nor a feature: they go through to the results. */
  carriedColumns: number[];
  /** Of an earlier list of rejected rows: they are left out. */
  ignoredColumns: number[];
  /** Other columns that could have been the id. */
  otherIdColumns: number[];
  scale: Scale;
}

interface MapHeaderOptions {
  features: readonly Pick<Feature, 'name' | 'names'>[];
  given?: GivenColumns;
  scale?: Scale;
}

export type MappedHeader = { mapping: HeaderMapping } | { faults: InputFault[] };

const maxNameLength = 256;

/** Finds the id and every feature in a header by name, or says all that is wrong with it. */
export function mapHeader(cells: readonly string[], options: MapHeaderOptions): MappedHeader {
  const { features, given = {}, scale = 'raw' } = options;
  const header = cells.slice(0, cells.findLastIndex((cell) => cell.trim() !== '') + 1);
  const faults = findBadNames(header.map((name) => name.trim()));
  const keys = header.map(comparable);
  const ignored = header.flatMap((name, i) => (isRejectedColumn(name.trim()) ? [i] : []));
  const taken = new Set(ignored);

  function take(pointer: string, columns: readonly number[]): number | undefined {
    if (columns.length > 1) {
      const expected = columns.map((column) => header[column]).join(', ');
      faults.push({ pointer, code: 'column_ambiguous', expected });
    }
    for (const column of columns) taken.add(column);
    return columns[0];
  }

  function findGiven(pointer: string, name: string): number | undefined {
    const exact = header.findIndex((one) => one.trim() === name.trim());
    const column = exact === -1 ? keys.indexOf(comparable(name)) : exact;
    if (column !== -1 && !taken.has(column)) return take(pointer, [column]);
    faults.push({ pointer, code: column === -1 ? 'column_unknown' : 'column_taken', expected: name });
    return undefined;
  }

  const free = (key: string) => keys.flatMap((one, i) => (one === key && key !== '' && !taken.has(i) ? [i] : []));
  const placeOf = (name: string) => `#/columns/${escapePointer(name)}`;
  const givenOf = (name: string) =>
    given.features && Object.hasOwn(given.features, name) ? given.features[name] : undefined;

  for (const name of Object.keys(given.features ?? {}))
    if (!features.some((feature) => feature.name === name))
      faults.push({ pointer: placeOf(name), code: 'feature_unknown' });
  const givenId = given.id === undefined ? undefined : findGiven('#/columns/id', given.id);
  const byGiven = features.map(({ name }) => {
    const column = givenOf(name);
    return column === undefined ? undefined : findGiven(placeOf(name), column);
  });
  const featureColumns = features.map((feature, i) => {
    if (givenOf(feature.name) !== undefined) return byGiven[i];
    const found = [...new Set(namesOf(feature).flatMap(free))];
    return found.length === 0 ? undefined : take(placeOf(feature.name), found);
  });

  const idColumns = header
    .flatMap((name, column) => {
      const preference = taken.has(column) ? undefined : idPreference(name);
      return preference === undefined ? [] : [{ column, preference }];
    })
    .sort((a, b) => a.preference - b.preference)
    .map(({ column }) => column);
  const idColumn = given.id === undefined ? idColumns[0] : givenId;
  if (idColumn !== undefined) taken.add(idColumn);
  else if (given.id === undefined) faults.push({ pointer: '#/columns/id', code: 'column_missing' });

  const unused = header.filter((_, column) => !taken.has(column));
  for (const [i, feature] of features.entries())
    if (featureColumns[i] === undefined && givenOf(feature.name) === undefined)
      faults.push({ pointer: placeOf(feature.name), code: 'column_missing', ...suggest(feature, unused) });
  if (faults.length > 0 || idColumn === undefined) return { faults };
  return {
    mapping: {
      header,
      idColumn,
      featureColumns: featureColumns as number[],
      carriedColumns: header.flatMap((_, column) => (taken.has(column) ? [] : [column])),
      ignoredColumns: ignored,
      otherIdColumns: idColumns.filter((column) => column !== idColumn),
      scale,
    },
  };
}

function findBadNames(header: readonly string[]): InputFault[] {
  return header.flatMap((name, i): InputFault[] => {
    const pointer = `#/header/${i}`;
    if (!isHonestName(name)) return [{ pointer, code: 'column_name_refused', expected: maxNameLength }];
    return header.indexOf(name) < i ? [{ pointer, code: 'duplicate_column', expected: name }] : [];
  });
}

/** A line break is no control character here: Excel's headers have them. */
function isHonestName(name: string): boolean {
  if (name === '' || name.length > maxNameLength || !name.isWellFormed()) return false;
  return !/(?![\r\n])\p{Cc}/u.test(name) && name !== 'prototype' && !(name in Object.prototype);
}

/** The unused column whose name is nearest to one of the feature's, if at most a third of it is different. */
function suggest(feature: Pick<Feature, 'name' | 'names'>, unused: readonly string[]): { expected?: string } {
  const [nearest] = unused
    .flatMap((name) => namesOf(feature).map((key) => ({ name, share: distance(comparable(name), key) / key.length })))
    .sort((a, b) => a.share - b.share);
  return nearest && nearest.share <= 1 / 3 ? { expected: nearest.name.trim() } : {};
}

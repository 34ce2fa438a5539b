import type { Feature } from '../../contract/contract.ts';
import type { Scale } from '../../contract/feature-vector.ts';
import type { OpenQuery } from '../../database/open-query.ts';
import type { DecimalSign } from '../../list-files/list-format.ts';
import type { HeaderMapping } from '../../list-files/map-header.ts';
import { createNumberReader, createYesNoReader, isYesNo } from '../../list-files/read-cell.ts';

interface RowWriterOptions {
  columns: OpenQuery['columns'];
  mapping: HeaderMapping;
  features: readonly Feature[];
  decimal: DecimalSign;
  scale: Scale;
}

type ReadValue = (text: string) => unknown;

/** PostgreSQL's numbers of its types: bool, char(n); int8, int2, int4, oid, float4, float8, numeric. */
const boolean = 16;
const paddedText = 1042;
const numbers = new Set([20, 21, 23, 26, 700, 701, 1700]);

/** Makes a line of NDJSON of each row: id, features, and in `columns` what else the query gives. */
export function createRowWriter({ columns, mapping, features, decimal, scale }: RowWriterOptions) {
  const { idColumn, featureColumns, carriedColumns } = mapping;
  const readNumber = createNumberReader({ decimal, refuseAmbiguous: false });
  const isPadded = columns[idColumn]?.typeId === paddedText;
  const featureReaders = features.map((feature, i): [string, number, ReadValue] => {
    const column = featureColumns[i] as number;
    const readText = isYesNo(feature) ? createYesNoReader(readNumber) : readNumber;
    return [feature.name, column, featureReader(columns[column]?.typeId, readText)];
  });
  const carriedReaders = carriedColumns.map((column): [string, number, ReadValue] => {
    const { name, typeId } = columns[column] as OpenQuery['columns'][number];
    return [name, column, carriedReader(typeId)];
  });

  function valuesOf(row: readonly (string | null)[], readers: typeof featureReaders, keepNull: boolean) {
    return Object.fromEntries(
      readers.flatMap(([name, column, read]) => {
        const text = row[column] ?? null;
        if (text === null) return keepNull ? [[name, null]] : [];
        const value = read(text);
        return value === undefined ? [] : [[name, value]];
      }),
    );
  }

  return (row: readonly (string | null)[]): string => {
    const id = row[idColumn] ?? '';
    return `${JSON.stringify({
      id: isPadded ? id.trimEnd() : id,
      features: valuesOf(row, featureReaders, false),
      ...(scale !== 'raw' && { scale }),
      ...(carriedReaders.length > 0 && { columns: valuesOf(row, carriedReaders, true) }),
    })}\n`;
  };
}

/** What shows no number stays as it is: the service says of it what is wrong. Blank text is as good as nothing. */
function featureReader(typeId: number | undefined, readText: (text: string) => unknown): ReadValue {
  if (typeId === boolean) return (text) => (text === 't' ? 1 : 0);
  if (typeId !== undefined && numbers.has(typeId)) return asNumber;
  return (text) => {
    if (text.trim() === '') return undefined;
    const value = readText(text);
    return typeof value === 'number' ? value : text;
  };
}

function carriedReader(typeId: number): ReadValue {
  if (typeId === boolean) return (text) => text === 't';
  if (!numbers.has(typeId)) return (text) => text;
  // 12.50, and integers beyond 2^53, would lose something
  return (text) => (String(Number(text)) === text && Number.isFinite(Number(text)) ? Number(text) : text);
}

function asNumber(text: string): number | string {
  const value = Number(text);
  return Number.isFinite(value) ? value : text;
}

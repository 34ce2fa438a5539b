import { writeFileSync } from 'node:fs';
import { type Contract, type Feature, readContract } from '../src/contract/contract.ts';
import type { CsvFormat } from '../src/list-files/list-format.ts';
import { writeRecords } from '../src/list-files/write-csv.ts';

/**
 * A made-up customer list as a Spanish Excel saves it: Windows-1252, semicolons, decimal commas, CRLF. It describes nobody,
 * and some of its rows are wrong on purpose. `node examples/generate-list.ts` writes examples/clientes.csv, the same each time.
 */
export function generateList(contract: Contract): Buffer {
  const random = seededRandom();
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const header = ['Código cliente', ...contract.features.map(({ names }) => names.es), 'Provincia', 'Saldo', 'Notas'];
  const records = Array.from({ length: 240 }, (_, i) => [
    `ES${String(i + 1).padStart(6, '0')}`,
    ...contract.features.map((feature) => cellOf(feature, random)),
    pick(provinces),
    `${spanish(random() * 9_000 - 1_500, 2)} €`,
    pick(notes),
  ]);
  for (const [row, change] of brokenRows) change(records[row] as string[], contract);
  return writeRecords([header, ...records], format);
}

const format: CsvFormat = {
  encoding: 'windows-1252',
  byteOrderMark: false,
  delimiter: ';',
  sepLine: false,
  lineEnding: '\r\n',
  decimal: ',',
  refuseAmbiguous: false,
};
const provinces = ['A Coruña', 'Álava', 'Cádiz', 'Castellón', 'Jaén', 'León', 'Madrid', 'Málaga', 'Sevilla', 'Teruel'];
const notes = [
  '',
  '',
  '',
  'Prefiere correo',
  'Llamar por la tarde;\nno antes de las 17 h',
  'Tarifa "familia"',
  '€ pendientes',
];

const firstOf = (contract: Contract, type: Feature['type']) =>
  1 + contract.features.findIndex((feature) => feature.type === type);

/** By row, from 0. */
const brokenRows: [number, (cells: string[], contract: Contract) => void][] = [
  [11, (cells, contract) => void (cells[firstOf(contract, 'number')] = 'n/d')],
  [37, (cells, contract) => void (cells[firstOf(contract, 'integer')] = '')],
  [58, (cells, contract) => void (cells[firstOf(contract, 'binary')] = 'quizás')],
  [83, (cells) => void (cells[0] = '')],
  [120, (cells) => void cells.splice(4, 1)],
  [151, (cells, contract) => void (cells[firstOf(contract, 'number')] = '-12,5')],
  [199, (cells, contract) => void (cells[firstOf(contract, 'integer')] = '3,5')],
];

function cellOf({ allowed, trainingRange, scaling, type }: Feature, random: () => number): string {
  if (type === 'binary') return random() < 0.2 ? 'Sí' : 'No';
  if ('values' in allowed) return spanish(allowed.values[Math.floor(random() * allowed.values.length)] as number, 0);
  const { minimum, maximum } = trainingRange ?? { minimum: scaling.mean - scaling.scale, maximum: scaling.mean };
  return spanish(minimum + ((random() + random()) / 2) * (maximum - minimum), type === 'number' ? 1 : 0);
}

function spanish(value: number, decimals: number): string {
  const [whole = '', fraction] = value.toFixed(decimals).split('.');
  const grouped = whole.replaceAll(/\B(?=(?:\d{3})+$)/g, '.');
  return fraction === undefined ? grouped : `${grouped},${fraction}`;
}

/** mulberry32 with a fixed seed. */
function seededRandom(): () => number {
  let state = 40_701;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

if (import.meta.main)
  writeFileSync('examples/clientes.csv', generateList(readContract('config/rfc_tune/contract.json')));

import type { Contract } from '../../src/contract/contract.ts';
import { madeUp } from './model-server-suite.ts';

export interface LongList {
  csv: Buffer;
  /** Of each row, in order. */
  ids: string[];
  /** Rows that cannot be read. */
  refused: number;
  /** Rows whose customer stands further up too, each time with other features. */
  repeated: number;
}

const refusedEvery = 997;
const repeatedEvery = 499;

/** A customer list, the same in every run: most rows are good ones, some are refused, some customers stand there twice. */
export function longList(contract: Contract, rows: number, prefix = 'C'): LongList {
  const names = contract.features.map(({ name }) => name);
  const lines = [['customer_id', ...names].join(',')];
  const ids: string[] = [];
  let refused = 0;
  let repeated = 0;
  for (const [i, customer] of madeUp(contract, rows).entries()) {
    const isRefused = i % refusedEvery === refusedEvery - 1;
    const isRepeated =
      !isRefused && i % repeatedEvery === repeatedEvery - 1 && (i - 1) % refusedEvery !== refusedEvery - 1;
    if (isRefused) refused += 1;
    if (isRepeated) repeated += 1;
    const id = isRepeated ? (ids[i - 1] as string) : `${prefix}${String(i).padStart(7, '0')}`;
    const cells = names.map((name) => customer[name]);
    ids.push(id);
    lines.push([id, ...(isRefused ? ['?', ...cells.slice(1)] : cells)].join(','));
  }
  return { csv: Buffer.from(`${lines.join('\n')}\n`), ids, refused, repeated };
}

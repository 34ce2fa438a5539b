import type { Contract } from '../../src/contract/contract.ts';

/** A CSV file that every contract of the service can label, of so many customers. */
export function generateCsv({ features }: Pick<Contract, 'features'>, rows: number): string {
  const header = ['customer_id', ...features.map(({ name }) => name)].join(',');
  const lines = Array.from({ length: rows }, (_, row) =>
    [
      `G${row}`,
      ...features.map(({ type }, i) =>
        type === 'binary' ? row % 2 : ((row * 7 + i * 13) % 200) + (type === 'number' ? 0.5 : 0),
      ),
    ].join(','),
  );
  return `${[header, ...lines].join('\n')}\n`;
}

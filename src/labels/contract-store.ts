import { createHash } from 'node:crypto';
import type { Contract } from '../contract/contract.ts';
import type { Queries } from '../database/database.ts';

/** What stored rows need to be understood later: which features in which order, how scaled, and what the labels say. */
export type StoredContract = Pick<Contract, 'features' | 'labels'>;

export interface ContractStore {
  /** The id of this contract, kept when it was not yet. */
  idOf(contract: Contract): Promise<number>;
  /** The contract that a stored label was made by. */
  byId(id: number): Promise<StoredContract>;
}

/** Contracts that stored labels refer to. A contract is never changed once kept, so both ways are remembered. */
export function createContractStore(queries: Queries): ContractStore {
  const ids = new WeakMap<Contract, Promise<number>>();
  const contracts = new Map<number, Promise<StoredContract>>();

  async function keep({ features, labels }: Contract) {
    const body = JSON.stringify({ features, labels } satisfies StoredContract);
    const fingerprint = createHash('sha256').update(body).digest('hex');
    await queries
      .insertInto('contracts')
      .values({ fingerprint, body })
      .onConflict((conflict) => conflict.column('fingerprint').doNothing())
      .execute();
    const row = await queries
      .selectFrom('contracts')
      .select('id')
      .where('fingerprint', '=', fingerprint)
      .executeTakeFirstOrThrow();
    return row.id;
  }

  async function read(id: number) {
    const row = await queries.selectFrom('contracts').select('body').where('id', '=', id).executeTakeFirstOrThrow();
    return row.body as StoredContract;
  }

  return {
    idOf: (contract) => remember(ids, contract, keep),
    byId: (id) => remember(contracts, id, read),
  };
}

interface Known<Key, Value> {
  get(key: Key): Promise<Value> | undefined;
  set(key: Key, value: Promise<Value>): unknown;
  delete(key: Key): unknown;
}

/** A failed look-up is forgotten, so that the next one asks again. */
function remember<Key, Value>(known: Known<Key, Value>, key: Key, find: (key: Key) => Promise<Value>) {
  const before = known.get(key);
  if (before) return before;
  const found = find(key);
  known.set(key, found);
  found.catch(() => known.delete(key));
  return found;
}

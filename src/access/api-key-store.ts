import type { Queries } from '../database/database.ts';
import type { Role } from './roles.ts';

export interface ApiKeyRecord {
  id: string;
  name: string;
  role: Role;
  /** SHA-256 of the key. */
  digest: Buffer;
  createdAt: Date;
  lastUsedAt: Date | null;
  revokedAt: Date | null;
}

export interface ApiKeyStore {
  insert(record: ApiKeyRecord): Promise<void>;
  find(digest: Buffer): Promise<ApiKeyRecord | undefined>;
  list(): Promise<ApiKeyRecord[]>;
  touch(id: string, at: Date): Promise<void>;
  /** False when there is no such key; one that is revoked already keeps its time. */
  revoke(id: string, at: Date): Promise<boolean>;
}

export function createApiKeyStore(queries: Queries): ApiKeyStore {
  const all = queries
    .selectFrom('api_keys')
    .select([
      'id',
      'name',
      'role',
      'digest',
      'created_at as createdAt',
      'last_used_at as lastUsedAt',
      'revoked_at as revokedAt',
    ]);
  // PGlite gives bytes as a plain Uint8Array
  const toRecord = (row: Awaited<ReturnType<typeof all.executeTakeFirstOrThrow>>): ApiKeyRecord => ({
    ...row,
    role: row.role as Role,
    digest: Buffer.from(row.digest),
  });

  return {
    async insert({ id, name, role, digest, createdAt }) {
      const row = { id, name, role, digest, created_at: createdAt, last_used_at: null, revoked_at: null };
      await queries.insertInto('api_keys').values(row).execute();
    },
    async find(digest) {
      const row = await all.where('digest', '=', digest).executeTakeFirst();
      return row && toRecord(row);
    },
    async list() {
      return (await all.orderBy('created_at').execute()).map(toRecord);
    },
    async touch(id, at) {
      await queries.updateTable('api_keys').set({ last_used_at: at }).where('id', '=', id).execute();
    },
    async revoke(id, at) {
      const { numUpdatedRows } = await queries
        .updateTable('api_keys')
        .set((eb) => ({ revoked_at: eb.fn.coalesce('revoked_at', eb.val(at)) }))
        .where('id', '=', id)
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    },
  };
}

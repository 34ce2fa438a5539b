import { hash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { ServiceError } from '../errors.ts';
import { isPlainText } from '../plain-text.ts';
import type { ApiKeyRecord, ApiKeyStore } from './api-key-store.ts';
import type { Role } from './roles.ts';

/** What is shown of a key: everything but the key. */
export type ApiKeyDescription = Omit<ApiKeyRecord, 'digest'>;

export interface ApiKeys {
  /** Makes a key of 256 random bits. It is in this answer and nowhere else. */
  create(key: { name: string; role: Role }): Promise<{ key: string; description: ApiKeyDescription }>;
  list(): Promise<ApiKeyDescription[]>;
  /** @throws ServiceError key_not_found */
  revoke(id: string): Promise<void>;
  /** Whose key this is, or undefined when it is unknown or revoked. */
  find(key: string): Promise<ApiKeyDescription | undefined>;
}

const prefix = 'cl_';
/** A key revoked through another instance may be taken for so long. */
const rememberedMs = 5_000;
const lastUsedEveryMs = 60_000;

export function createApiKeys(store: ApiKeyStore): ApiKeys {
  const remembered = new Map<string, { record: ApiKeyRecord | undefined; until: number }>();

  async function lookUp(digest: Buffer) {
    const hex = digest.toString('hex');
    const known = remembered.get(hex);
    if (known && known.until > Date.now()) return known.record;
    const record = await store.find(digest);
    if (remembered.size > 1_000) remembered.clear();
    remembered.set(hex, { record, until: Date.now() + rememberedMs });
    return record;
  }

  function noteUse(record: ApiKeyRecord) {
    const now = new Date();
    if (now.getTime() - (record.lastUsedAt?.getTime() ?? 0) < lastUsedEveryMs) return;
    record.lastUsedAt = now;
    store.touch(record.id, now).catch(() => {});
  }

  return {
    async create({ name, role }) {
      const key = prefix + randomBytes(32).toString('base64url');
      const record: ApiKeyRecord = {
        id: randomUUID(),
        name,
        role,
        digest: digestOf(key),
        createdAt: new Date(),
        lastUsedAt: null,
        revokedAt: null,
      };
      await store.insert(record);
      remembered.clear();
      return { key, description: withoutDigest(record) };
    },

    async list() {
      return (await store.list()).map(withoutDigest);
    },

    async revoke(id) {
      const found = isPlainText(id) && (await store.revoke(id, new Date()));
      remembered.clear();
      if (!found) throw new ServiceError('key_not_found');
    },

    async find(key) {
      const digest = digestOf(key);
      const record = await lookUp(digest);
      if (!record || record.revokedAt !== null || !timingSafeEqual(record.digest, digest)) return undefined;
      noteUse(record);
      return withoutDigest(record);
    },
  };
}

function digestOf(key: string): Buffer {
  return hash('sha256', key, 'buffer');
}

function withoutDigest({ digest: _digest, ...description }: ApiKeyRecord): ApiKeyDescription {
  return description;
}

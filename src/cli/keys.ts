import { createApiKeyStore } from '../access/api-key-store.ts';
import { type ApiKeyDescription, type ApiKeys, createApiKeys } from '../access/api-keys.ts';
import type { Role } from '../access/roles.ts';
import { createDatabase } from '../database/database.ts';
import { FolderInUseError } from '../database/folder-lock.ts';
import { createLogger } from '../logger.ts';
import { OperatorError } from '../operator-error.ts';
import type { Settings } from '../settings.ts';

interface Where {
  url?: string;
}

/** Makes a key and gives the text to show. */
export function createKey(
  settings: Settings,
  { name, role, url }: Where & { name: string; role: Role },
): Promise<string> {
  return withKeys(settings, url, async (keys) => {
    const { key, description } = await keys.create({ name, role });
    return `${key}\n\nThis is the only time it is shown. id ${description.id}, name ${name}, role ${role}.`;
  });
}

export function listKeys(settings: Settings, { url }: Where): Promise<string> {
  return withKeys(settings, url, async (keys) => {
    const rows = (await keys.list()).map(describe);
    return rows.length === 0
      ? 'No keys yet.'
      : table([['id', 'name', 'role', 'created', 'last used', 'revoked'], ...rows]);
  });
}

export function revokeKey(settings: Settings, { id, url }: Where & { id: string }): Promise<string> {
  return withKeys(settings, url, async (keys) => {
    await keys.revoke(id);
    return `Revoked ${id}.`;
  });
}

type KeyCommands = Pick<ApiKeys, 'create' | 'list' | 'revoke'>;

/** PostgreSQL is shared; PGlite's folder belongs to one process, and when that is the service, the service is asked. */
async function withKeys<T>(
  settings: Settings,
  url: string | undefined,
  work: (keys: KeyCommands) => Promise<T>,
): Promise<T> {
  if (url !== undefined) return work(keysOfService(url));
  const database = createDatabase({ settings: settings.database, logger: createLogger({ level: 'silent' }) });
  try {
    await database.migrate();
    return await work(createApiKeys(createApiKeyStore(database.queries)));
  } catch (error) {
    if (!(error instanceof FolderInUseError)) throw error;
    return await work(
      keysOfService(`http${settings.http.tls ? 's' : ''}://${settings.http.host}:${settings.http.port}`),
    );
  } finally {
    await database.close().catch(() => {});
  }
}

/** The keys of a running service, asked with the admin key in CUSTOMER_LABELS_KEY. */
function keysOfService(base: string): KeyCommands {
  const adminKey = process.env['CUSTOMER_LABELS_KEY'];

  async function ask(method: string, path: string, body?: object): Promise<unknown> {
    const response = await fetch(new URL(path, base), {
      method,
      headers: {
        ...(adminKey !== undefined && { Authorization: `Bearer ${adminKey}` }),
        ...(body && { 'Content-Type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
    }).catch((cause: unknown) => {
      throw new OperatorError(
        `The database folder is in use, and no service answers at ${base}. Give its address with --url.`,
        { cause },
      );
    });
    if (response.status === 401 || response.status === 403)
      throw new OperatorError(
        `The database folder is in use by the service at ${base}. Put an admin key in CUSTOMER_LABELS_KEY.`,
      );
    if (response.status === 204) return undefined;
    const answer = (await response.json()) as { title?: string };
    if (!response.ok) throw new OperatorError(`${base} answered ${response.status}: ${answer.title}`);
    return answer;
  }

  return {
    async create(wanted) {
      const { key, ...description } = (await ask('POST', '/v1/keys', wanted)) as ApiKeyDescription & { key: string };
      return { key, description };
    },
    list: async () => ((await ask('GET', '/v1/keys')) as { keys: ApiKeyDescription[] }).keys,
    revoke: async (id) => void (await ask('DELETE', `/v1/keys/${encodeURIComponent(id)}`)),
  };
}

function describe({ id, name, role, createdAt, lastUsedAt, revokedAt }: ApiKeyDescription): string[] {
  const time = (value: Date | string | null) => (value === null ? '-' : new Date(value).toISOString().slice(0, 16));
  return [id, name, role, time(createdAt), time(lastUsedAt), time(revokedAt)];
}

function table(rows: string[][]): string {
  const widths = (rows[0] as string[]).map((_head, i) => Math.max(...rows.map((row) => (row[i] as string).length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] as number))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

import type { Contract } from './contract/contract.ts';
import type { Settings } from './settings.ts';

interface StartMessageOptions {
  url: string;
  settings: Settings;
  contract: Contract;
  /** A key that was just made, shown this once. */
  firstKey: string | null;
}

/** What the operator reads at the start: where it listens, what it stands on, and a request to paste. */
export function startMessage({ url, settings, contract, firstKey }: StartMessageOptions): string {
  const { name, version } = contract.model;
  const { remote } = settings.modelServer;
  const { database, access } = settings;
  const example = JSON.stringify({ features: contract.goldenRows[0]?.features });
  const header = access === 'own' ? ` -H "Authorization: Bearer ${firstKey ?? '$API_KEY'}"` : '';
  return `
customer-labels is listening on ${url}   (API: ${url}/docs)

  model         ${name}${version === null ? '' : ` version ${version}`}
  model server  ${remote ? remote.url : 'embedded (the sample model; set MODEL_SERVER_URL for your own)'}
  database      ${database.url ? `PostgreSQL at ${new URL(database.url).host}` : `PGlite in ${database.dataDir} (survives a crash, not a power cut; set DATABASE_URL for PostgreSQL)`}
  access        ${access === 'own' ? 'API keys' : 'none: everybody on this machine'}
${firstKey === null ? '' : `\n  The first admin key, shown only now:  ${firstKey}\n`}
Label a customer:

  curl -X POST ${url}/v1/customers/C1/label${header} -H 'Content-Type: application/json' \\
    -d '${example}'
`;
}

import { readFileSync } from 'node:fs';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import axios from 'axios';

/** Why the registry could not be read; the message has no word of the registry's own. */
export class RegistryFault extends Error {
  override name = 'RegistryFault';
  readonly outcome: 'away' | 'bad_answer';

  constructor(outcome: RegistryFault['outcome'], message: string) {
    super(message);
    this.outcome = outcome;
  }
}

export interface RegistryAnswer {
  status: number;
  body: Buffer;
}

export type Ask = (path: string, params: object, maxBytes?: number) => Promise<RegistryAnswer>;

export interface RegistryHttp {
  /** Work that asks the registry and ends within this time, whatever the registry does. @throws RegistryFault */
  within<T>(timeoutMs: number, work: (ask: Ask) => Promise<T>): Promise<T>;
  close(): void;
}

const maxReplyBytes = 1_000_000;

/** Bounded requests to MLflow's tracking server: no redirect, no proxy, no compression, TLS 1.2 or newer. */
export function createRegistryHttp({ url, caFile }: { url: string; caFile: string | undefined }): RegistryHttp {
  const httpAgent = new HttpAgent();
  const httpsAgent = new HttpsAgent({
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    ...(caFile !== undefined && { ca: readFileSync(caFile) }),
  });
  const closed = new AbortController();
  const http = axios.create({
    baseURL: url.replace(/\/+$/, ''),
    adapter: 'http',
    httpAgent,
    httpsAgent,
    maxRedirects: 0,
    proxy: false,
    decompress: false,
    // Parsed by who asks: axios would hide broken JSON
    responseType: 'arraybuffer',
    transformResponse: [],
    validateStatus: () => true,
    headers: { Accept: 'application/json, */*;q=0.5', 'Accept-Encoding': 'identity' },
  });

  return {
    async within(timeoutMs, work) {
      const late = AbortSignal.timeout(timeoutMs);
      const signal = AbortSignal.any([late, closed.signal]);
      try {
        return await work(async (path, params, maxBytes = maxReplyBytes) => {
          const { status, data } = await http.get<Buffer>(path, { params, signal, maxContentLength: maxBytes });
          return { status, body: data };
        });
      } catch (error) {
        if (error instanceof RegistryFault) throw error;
        throw late.aborted
          ? new RegistryFault('away', `the registry did not answer within ${timeoutMs} ms`)
          : describeFault(error);
      }
    },
    close() {
      closed.abort();
      httpAgent.destroy();
      httpsAgent.destroy();
    },
  };
}

function describeFault(error: unknown): RegistryFault {
  const code = axios.isAxiosError(error) ? (error.code ?? '') : '';
  return code === 'ERR_BAD_RESPONSE' || code.startsWith('HPE_')
    ? new RegistryFault('bad_answer', 'the registry answered too much, broke off, or speaks no proper HTTP')
    : new RegistryFault('away', `no connection to the registry (${code || 'unknown'})`);
}

import { readFileSync } from 'node:fs';
import { Agent as HttpAgent, type ClientRequest } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import axios, { type AxiosResponse } from 'axios';
import { ServiceError } from '../errors.ts';
import { createRetries, ModelUnavailable, readRetryAfter, type Retries } from './retries.ts';
import { type BodyRows, formatInvocation } from './scoring-protocol.ts';

export interface ModelServerAddress {
  /** Base address, such as https://mlflow.internal:8124. */
  url: string;
  /** PEM text of the certificate authority to trust instead of the system's. */
  ca: string | undefined;
  clientCertificate: { cert: string; key: string } | undefined;
}

export interface InvokeOptions {
  /** Bounds the whole of it, retries and body included; the client's own when left out. */
  timeoutMs?: number;
  /** Until when, on performance.now()'s clock, a retry is worth it; left out: none. */
  retryUntil?: number | undefined;
}

export interface ModelServerClient {
  /**
   * Sends standardised vectors to /invocations and gives back the parsed JSON, unchecked.
   * @throws RowsRefused on a 400, else ServiceError: model_unavailable, model_untrusted (TLS), model_bad_answer, deadline.
   */
  invoke(rows: BodyRows, options?: InvokeOptions): Promise<unknown>;
  close(): void;
}

/** The model server answered 400: something in the rows it was sent, or all of them. */
export class RowsRefused extends Error {
  override name = 'RowsRefused';
}

/** Reads the files of a remote model server's settings into an address. */
export function remoteAddress(remote: {
  url: string;
  caFile: string | undefined;
  clientCertificate: { certFile: string; keyFile: string } | null;
}): ModelServerAddress {
  const read = (file: string) => readFileSync(file, 'utf8');
  return {
    url: remote.url,
    ca: remote.caFile === undefined ? undefined : read(remote.caFile),
    clientCertificate: remote.clientCertificate
      ? { cert: read(remote.clientCertificate.certFile), key: read(remote.clientCertificate.keyFile) }
      : undefined,
  };
}

/** uvicorn drops a connection that was idle for 5 s; ours must let go first. */
const idleConnectionMs = 4_000;
const replyBytesPerRow = 256;
/** All of TLS 1.3's, and those of TLS 1.2 that keep what was sent secret when the server's key is stolen later. */
const forwardSecretCiphers =
  'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM';

/** One keep-alive HTTPS connection pool to one model server. `timeoutMs` bounds a whole call, body included. */
export function createModelServerClient(options: {
  address: ModelServerAddress;
  timeoutMs: number;
  retries?: Retries;
}): ModelServerClient {
  const { address, retries = createRetries() } = options;
  const pool = { keepAlive: true, timeout: idleConnectionMs };
  const httpAgent = new HttpAgent(pool);
  const httpsAgent = new HttpsAgent({
    ...pool,
    minVersion: 'TLSv1.2',
    ciphers: forwardSecretCiphers,
    rejectUnauthorized: true,
    ...(address.ca !== undefined && { ca: address.ca }),
    ...address.clientCertificate,
  });
  const http = axios.create({
    baseURL: address.url.replace(/\/+$/, ''),
    adapter: 'http',
    httpAgent,
    httpsAgent,
    maxRedirects: 0,
    proxy: false,
    decompress: false,
    maxBodyLength: Infinity,
    // Written here: axios would parse the text of a body to see whether it is JSON
    transformRequest: [],
    // Parsed here, and only a 200: axios would hide broken JSON, or let an error page hide its status
    responseType: 'text',
    transformResponse: [],
    validateStatus: () => true,
    headers: { 'Content-Type': 'application/json', Accept: 'application/json', 'Accept-Encoding': 'identity' },
  });

  async function invoke(
    rows: BodyRows,
    { timeoutMs = options.timeoutMs, retryUntil }: InvokeOptions = {},
  ): Promise<unknown> {
    const body = formatInvocation(rows);
    const maxContentLength = 4_096 + rows.count * replyBytesPerRow;
    const signal = AbortSignal.timeout(timeoutMs);
    const attempt = async () => {
      const response = await http
        .post<string>('/invocations', body, { signal, maxContentLength })
        .catch((error: unknown) => {
          throw toModelFault(error, signal);
        });
      return readReply(response);
    };
    const endsAt = performance.now() + timeoutMs;
    return retries.run(attempt, retryUntil && Math.min(retryUntil, endsAt));
  }

  return {
    invoke,
    close() {
      httpAgent.destroy();
      httpsAgent.destroy();
    },
  };
}

function readReply({ status, headers, data }: AxiosResponse<string>): unknown {
  if (status === 200) return parseJson(data);
  if (status === 400) throw new RowsRefused('the model server answered 400');
  const reason = `the model server answered ${status}`;
  if (status === 503 || status === 429) {
    const askedMs = readRetryAfter(headers['retry-after']);
    throw new ModelUnavailable({ reason, ...(askedMs !== undefined && { askedMs }) });
  }
  throw new ServiceError('model_bad_answer', { reason });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ServiceError('model_bad_answer', { reason: 'the model server answered with no readable JSON' });
  }
}

const trustFaults =
  /^(ERR_TLS_|ERR_SSL_|CERT_|CRL_|ERROR_IN_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|EPROTO|HOSTNAME_MISMATCH|INVALID_|PATH_LENGTH|UNSPECIFIED|ERR_OSSL)|CERTIFICATE/;
const resetFaults = /^(ECONNRESET|EPIPE)$/;

/** Whether a connection that had served another call was closed before this one got any answer. */
function isStale(error: unknown, code: string): boolean {
  return (
    resetFaults.test(code) &&
    axios.isAxiosError(error) &&
    (error.request as ClientRequest | undefined)?.reusedSocket === true
  );
}

function codeOf(error: unknown): string {
  if (!Error.isError(error)) return '';
  const own = 'code' in error && typeof error.code === 'string' ? error.code : '';
  // axios wraps the connection's own error, whose code says more than axios's
  return own.startsWith('ERR_') && error.cause !== undefined ? codeOf(error.cause) || own : own;
}

/** The caught error's own words may quote the customers in the body, so only its code goes on. */
function toModelFault(error: unknown, signal: AbortSignal): ServiceError {
  if (signal.aborted) return new ServiceError('deadline', { reason: 'the model server did not answer in time' });
  if (axios.isAxiosError(error) && error.code === 'ERR_BAD_RESPONSE')
    return new ServiceError('model_bad_answer', { reason: 'the model server answered too much, or broke off' });
  const code = codeOf(error);
  if (code.startsWith('HPE_'))
    return new ServiceError('model_bad_answer', { reason: `the model server answered with no proper HTTP (${code})` });
  if (trustFaults.test(code)) return new ServiceError('model_untrusted', { reason: `no trusted connection (${code})` });
  const reason = `the model server cannot be reached (${code || 'unknown'})`;
  return new ModelUnavailable({ reason, isStale: isStale(error, code) });
}

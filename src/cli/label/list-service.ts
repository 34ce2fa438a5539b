import type { IncomingMessage } from 'node:http';
import { json } from 'node:stream/consumers';
import type * as z from 'zod';
import type { batchSchema } from '../../batches/batch-view.ts';
import type { Contract } from '../../contract/contract.ts';
import type { describeList } from '../../list-files/list-report.ts';
import type { Locale } from '../../locale.ts';
import { OperatorError } from '../../operator-error.ts';
import { DependencyDownError, InterruptedError, RefusedError } from './label-errors.ts';
import { describeProblem, type Problem } from './describe-problem.ts';
import { exchange } from './exchange.ts';
import { textsIn } from './label-texts.ts';

export type BatchView = z.output<typeof batchSchema>;
export type DryRunReport = ReturnType<typeof describeList>;

/** A list that is to be sent, and what is said of it. */
export interface SentList {
  kind: 'csv' | 'ndjson';
  given: Record<string, string>;
  open(): AsyncIterable<Uint8Array>;
}

/** The list routes of a service, over HTTP. Each call throws DependencyDownError, RefusedError or InterruptedError. */
export interface ListService {
  url: string;
  contract(): Promise<Pick<Contract, 'features'>>;
  findByKey(key: string): Promise<BatchView | undefined>;
  send(list: SentList, key: string): Promise<BatchView>;
  relabelStale(key: string): Promise<BatchView>;
  dryRun(list: SentList): Promise<DryRunReport>;
  progress(id: string): Promise<BatchView>;
  download(id: string, what: 'results' | 'rejected', as: 'csv' | 'ndjson'): Promise<AsyncIterable<Uint8Array>>;
}

interface ListServiceOptions {
  url: string;
  key: string | undefined;
  locale: Locale;
  signal: AbortSignal;
}

interface AskOptions {
  method?: string;
  headers?: Record<string, string>;
  body?: string | AsyncIterable<Uint8Array>;
}

const mediaTypes = { csv: 'text/csv', ndjson: 'application/x-ndjson' };
const jsonType = 'application/json';

export function createListService({ url, key, locale, signal }: ListServiceOptions): ListService {
  const texts = textsIn(locale);

  async function ask(path: string, init: AskOptions = {}): Promise<IncomingMessage> {
    const response = await exchange(new URL(path, url), {
      ...init,
      signal,
      headers: {
        'Accept-Language': locale,
        ...(key !== undefined && { Authorization: `Bearer ${key}` }),
        ...init.headers,
      },
    }).catch((cause: unknown) => {
      throw asKnown(cause);
    });
    const { statusCode: status = 0 } = response;
    if (status >= 200 && status < 300) return response;
    const problem = await readProblem(response);
    response.destroy();
    if (status === 503) throw new DependencyDownError(texts.serviceNotReady(url, problem?.title ?? '503'));
    throw new RefusedError(describeProblem(problem, { status, url, locale }), problem?.code ?? '');
  }

  const askJson = async <T>(path: string, init?: AskOptions) => {
    const response = await ask(path, init);
    try {
      return (await json(response)) as T;
    } catch (cause) {
      throw cause instanceof SyntaxError
        ? new RefusedError(texts.notTheService(url, response.statusCode ?? 0), '')
        : asKnown(cause);
    }
  };

  function asKnown(error: unknown): Error {
    if (signal.aborted) return new InterruptedError(texts.interrupted);
    if (error instanceof OperatorError) return error;
    const code = Error.isError(error) && 'code' in error ? String(error.code) : String(error);
    return new DependencyDownError(texts.serviceAway(url, code), { cause: error });
  }

  function upload({ kind, given, open }: SentList, query: Record<string, string>, headers: Record<string, string>) {
    const path = `/v1/batches?${new URLSearchParams({ ...given, ...query }).toString()}`;
    return {
      path,
      init: { method: 'POST', body: open(), headers: { ...headers, 'Content-Type': mediaTypes[kind] } },
    };
  }

  return {
    url,
    async contract() {
      return (await askJson<{ contract: Pick<Contract, 'features'> }>('/v1/model')).contract;
    },
    async findByKey(idempotencyKey) {
      const query = new URLSearchParams({ idempotencyKey }).toString();
      return (await askJson<{ batches: BatchView[] }>(`/v1/batches?${query}`)).batches[0];
    },
    async send(list, idempotencyKey) {
      const { path, init } = upload(list, {}, { 'Idempotency-Key': idempotencyKey });
      return askJson(path, init);
    },
    relabelStale: (idempotencyKey) =>
      askJson('/v1/batches', {
        method: 'POST',
        body: JSON.stringify({ from: 'stored' }),
        headers: { 'Content-Type': jsonType, 'Idempotency-Key': idempotencyKey },
      }),
    async dryRun(list) {
      const { path, init } = upload(list, { dryRun: 'true' }, {});
      return askJson(path, init);
    },
    progress: (id) => askJson(`/v1/batches/${id}`),
    async download(id, what, as) {
      const response = await ask(`/v1/batches/${id}/${what}`, { headers: { Accept: mediaTypes[as] } });
      return read(response, asKnown);
    },
  };
}

async function readProblem(response: IncomingMessage): Promise<Problem | null> {
  try {
    return (await json(response)) as Problem | null;
  } catch {
    return null;
  }
}

/** The body; one that is cut off throws what `asKnown` makes of it. */
async function* read(body: IncomingMessage, asKnown: (thrown: unknown) => Error): AsyncGenerator<Uint8Array> {
  try {
    for await (const bytes of body) yield bytes as Uint8Array;
  } catch (error) {
    throw asKnown(error);
  }
}

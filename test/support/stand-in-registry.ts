import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { TlsOptions } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';

export interface RegistryCall {
  request: IncomingMessage;
  response: ServerResponse;
  path: string;
  query: URLSearchParams;
}

export interface StandInRegistry extends AsyncDisposable {
  url: string;
  /** Addresses that were asked for. */
  asked: string[];
  respond: (call: RegistryCall) => void;
}

/** A registry at the level of bytes, for what a real one cannot be made to do. */
export async function startStandInRegistry(tls?: TlsOptions): Promise<StandInRegistry> {
  const open = new Set<Socket>();
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    const { pathname: path, searchParams: query } = new URL(request.url as string, 'http://registry');
    registry.asked.push(request.url as string);
    registry.respond({ request, response, path, query });
  };
  const server = tls ? createHttpsServer(tls, handle) : createHttpServer(handle);
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.on('error', () => {}).on('close', () => open.delete(socket));
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const registry: StandInRegistry = {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    asked: [],
    respond: named('7'),
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of open) socket.destroy();
      await once(server, 'close');
    },
  };
  return registry;
}

type Respond = StandInRegistry['respond'];

/** Names this version of the toy model live, as MLflow does, with a run that scored. */
export function named(version: string, changes: Record<string, unknown> = {}): Respond {
  return ({ response, path }) => {
    const entry = { name: 'toy', version, current_stage: 'Production', run_id: `run-${version}`, ...changes };
    const metrics = [
      { key: 'crossValidatedF1', value: 0.11 },
      { key: 'testF1', value: 0.84, timestamp: 1, step: 0 },
    ];
    if (path.endsWith('/runs/get')) json({ run: { data: { metrics } } })({ response });
    else json(path.endsWith('/alias') ? { model_version: entry } : { model_versions: [entry] })({ response });
  };
}

export const json =
  (body: unknown, status = 200) =>
  ({ response }: Pick<RegistryCall, 'response'>) =>
    void response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));

export const text =
  (body: string, status = 200, headers: Record<string, string> = {}): Respond =>
  ({ response }) =>
    void response.writeHead(status, headers).end(body);

/** Writes bytes where an HTTP answer should be. */
export const bytes =
  (body: string): Respond =>
  ({ request }) =>
    void request.socket.end(body);

export const silence: Respond = () => {};

/** A right head, and then a byte of the body from time to time, for ever. */
export const dripping: Respond = ({ response }) => {
  response.writeHead(200, { 'Content-Type': 'application/json' });
  void (async () => {
    while (!response.destroyed) {
      response.write(' ');
      await sleep(100);
    }
  })();
};

/** Megabytes without an end, for as long as somebody reads. */
export const endless: Respond = ({ response }) => {
  response.writeHead(200, { 'Content-Type': 'application/json' });
  const part = Buffer.alloc(65_536, 0x20);
  const go = () => {
    while (!response.destroyed && response.write(part));
    if (!response.destroyed) response.once('drain', go);
  };
  go();
};

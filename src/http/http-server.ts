import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { refuseBrokenRequest } from './refuse-broken-request.ts';

export interface HttpServer {
  /** Starts listening. @returns the address, with the port that was taken. */
  listen(): Promise<string>;
  /** Takes no new connection, answers the requests in flight, then closes; what lasts longer is cut off. */
  close(): Promise<void>;
}

interface HttpServerOptions {
  handler: RequestListener;
  host: string;
  port: number;
  tls: { certFile: string; keyFile: string } | null;
}

const requestTimeoutMs = 30_000;
const silenceMs = 60_000;
const headersTimeoutMs = 10_000;
/** GET /v1/labels takes 500 ids, and an ERP's may well have 36 characters. */
const maxHeaderBytes = 32 * 1024;
const checkConnectionsEveryMs = 1_000;
const drainTimeoutMs = 15_000;
const idleSweepMs = 100;

const unhurried = new WeakSet<IncomingMessage>();

/** Lets a body come in for as long as it comes: only silence ends it. */
export function letTakeItsTime(request: IncomingMessage): void {
  unhurried.add(request);
  request.setTimeout(silenceMs);
}

/** Refuses a body that is not there in time. */
function hurry(request: IncomingMessage) {
  const timer = setTimeout(() => {
    if (request.complete || unhurried.has(request)) return;
    const error = Object.assign(new Error('the body is too slow'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
    refuseBrokenRequest(error, request.socket);
  }, requestTimeoutMs).unref();
  request.once('end', () => clearTimeout(timer)).once('close', () => clearTimeout(timer));
}

export function createServer({ handler, host, port, tls }: HttpServerOptions): HttpServer {
  const limits = {
    // Of each request on its own: a list takes its time
    requestTimeout: 0,
    headersTimeout: headersTimeoutMs,
    connectionsCheckingInterval: checkConnectionsEveryMs,
    keepAliveTimeout: 65_000,
    maxHeaderSize: maxHeaderBytes,
  };
  let closing = false;
  const listener: RequestListener = (request, response) => {
    if (closing) response.setHeader('Connection', 'close');
    hurry(request);
    handler(request, response);
  };
  const server: Server = tls
    ? createHttpsServer(
        {
          ...limits,
          handshakeTimeout: headersTimeoutMs,
          cert: readFileSync(tls.certFile),
          key: readFileSync(tls.keyFile),
        },
        listener,
      )
    : createHttpServer(limits, listener);
  server.on('clientError', (error, socket) => refuseBrokenRequest(error, socket as Socket));

  return {
    async listen() {
      server.listen({ host, port });
      await once(server, 'listening');
      const address = server.address() as AddressInfo;
      const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
      return `${tls ? 'https' : 'http'}://${name}:${address.port}`;
    },
    async close() {
      if (!server.listening) return;
      closing = true;
      const closed = once(server, 'close');
      server.close();
      const sweep = setInterval(() => server.closeIdleConnections(), idleSweepMs);
      const cut = setTimeout(() => server.closeAllConnections(), drainTimeoutMs);
      await closed;
      clearInterval(sweep);
      clearTimeout(cut);
    },
  };
}

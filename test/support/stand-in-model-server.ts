import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { generate } from 'selfsigned';
import type { ModelServerAddress } from '../../src/model-server/model-server-client.ts';
import { toyLabel } from './toy-model.ts';

export interface Call {
  vectors: number[][];
  request: IncomingMessage;
  response: ServerResponse;
}

export interface StandIn extends AsyncDisposable {
  address: ModelServerAddress;
  /** Every /invocations call so far. */
  calls: Call[];
  /** What to answer from now on; `reply` sends predictions. Without it the toy model answers. */
  respond: (call: Call, reply: (predictions: unknown[]) => void) => void | Promise<void>;
}

const certificate = generate([{ name: 'commonName', value: 'stand-in' }], {
  keyType: 'ec',
  extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
});

/** A model server at the level of bytes, for what a real one cannot be made to do. */
export async function startStandIn(): Promise<StandIn> {
  const { cert, private: key } = await certificate;
  const server = createServer({ cert, key }, (request, response) => {
    void readBody(request).then(async (body) => {
      const call: Call = { vectors: (JSON.parse(body) as { inputs: number[][] }).inputs, request, response };
      standIn.calls.push(call);
      await standIn.respond(call, (predictions) => sendJson(response, { predictions }));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const standIn: StandIn = {
    address: { url: `https://127.0.0.1:${port}`, ca: cert, clientCertificate: undefined },
    calls: [],
    respond: ({ vectors }, reply) => reply(vectors.map(toyLabel)),
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  return standIn;
}

export function sendJson(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface Gate extends AsyncDisposable {
  port: number;
  /** The port that connections are led to from now on; null: nobody is there. */
  target: number | null;
  /** The bytes that clients sent on the wire since the last forget(). */
  sent(): string;
  connections: number;
  forget(): void;
  /** Ends every connection, with a TCP reset when told so, or every other one. */
  drop(how?: 'reset' | 'every other'): void;
}

/** One address whose peer can be exchanged, and that sees the bytes on the wire. */
export async function startGate(): Promise<Gate> {
  const open = new Set<Socket>();
  let seen: string[] = [];
  const server = createServer({ noDelay: true }, (client) => {
    gate.connections += 1;
    open.add(client);
    client.on('data', (chunk: Buffer) => seen.push(chunk.toString('latin1')));
    client.on('error', () => {}).on('close', () => open.delete(client));
    if (gate.target === null) {
      client.destroy();
      return;
    }
    const peer = connect({ port: gate.target, host: '127.0.0.1', noDelay: true });
    peer.on('error', () => client.destroy()).on('close', () => client.end());
    client.on('close', () => peer.destroy());
    client.pipe(peer);
    peer.pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const gate: Gate = {
    port: (server.address() as AddressInfo).port,
    target: null,
    connections: 0,
    sent: () => seen.join(''),
    forget() {
      seen = [];
      gate.connections = 0;
    },
    drop(how) {
      for (const [i, client] of [...open].entries())
        if (how === 'reset') client.resetAndDestroy();
        else if (how === undefined || i % 2 === 0) client.destroy();
    },
    async [Symbol.asyncDispose]() {
      server.close();
      gate.drop();
      await once(server, 'close');
    },
  };
  return gate;
}

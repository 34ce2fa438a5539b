import { Agent, request } from 'node:http';

export interface Answer {
  status: number;
  text: string;
}

export interface Caller extends Disposable {
  /** Sends the path as it is: no client on the way makes it well-formed. A body is JSON unless the headers differ. */
  ask(method: string, path: string, body?: string | Buffer, headers?: Record<string, string>): Promise<Answer>;
}

/** A caller that keeps so many connections open, as an ERP with a pool does. */
export function createCaller(url: string, connections = 32): Caller {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const { hostname, port } = new URL(url);
  return {
    ask(method, path, body, headers = {}) {
      const { promise, resolve, reject } = Promise.withResolvers<Answer>();
      const sent = body === undefined ? {} : { 'Content-Type': 'application/json' };
      const outgoing = request(
        { agent, hostname, port, method, path, headers: { ...sent, ...headers } },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
          incoming.once('end', () =>
            resolve({ status: incoming.statusCode as number, text: Buffer.concat(chunks).toString() }),
          );
          incoming.once('error', reject);
        },
      );
      outgoing.once('error', reject);
      outgoing.end(body);
      return promise;
    },
    [Symbol.dispose]: () => agent.destroy(),
  };
}

/** Runs `work` on each item, so many at a time. */
export async function inParallel<T>(
  items: Iterable<T>,
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items[Symbol.iterator]();
  const lane = async () => {
    for (let next = rest.next(); !next.done; next = rest.next()) await work(next.value);
  };
  await Promise.all(Array.from({ length: width }, lane));
}

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';

/** What came back over one connection for bytes that no HTTP client would send. */
export interface RawAnswer {
  /** Of each answer, in order; none when the connection was only closed. */
  statuses: number[];
  text: string;
}

const quietMs = 150;
const patienceMs = 5_000;

export async function open(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.setNoDelay(true);
  await once(socket, 'connect');
  socket.on('error', () => {});
  return socket;
}

/** Writes the bytes as they are and reads until the server closes, or has answered and falls silent. */
export async function sendBytes(url: string, bytes: string | Buffer): Promise<RawAnswer> {
  const socket = await open(url);
  let text = '';
  let heardAt = performance.now();
  const startedAt = heardAt;
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    heardAt = performance.now();
  });
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.write(bytes);
  const { promise: silent, resolve: giveUp } = Promise.withResolvers<void>();
  const watch = setInterval(() => {
    const now = performance.now();
    if ((text !== '' && now - heardAt > quietMs) || now - startedAt > patienceMs) giveUp();
  }, 20);
  await Promise.race([closed, silent]);
  clearInterval(watch);
  const wasOpen = !socket.closed;
  socket.destroy();
  if (text === '' && wasOpen) throw new Error(`neither an answer nor a closed socket in ${patienceMs} ms`);
  return { statuses: [...text.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map(([, status]) => Number(status)), text };
}

/** The bytes of a request with this body, whatever else its head says. */
export function post(path: string, body: string | Buffer, head: string[] = []): Buffer {
  const lines = [`POST ${path} HTTP/1.1`, 'Host: x', 'Content-Type: application/json', ...head];
  const bytes = Buffer.from(body);
  if (!head.some((line) => /^(content-length|transfer-encoding)/i.test(line)))
    lines.push(`Content-Length: ${bytes.length}`);
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), bytes]);
}

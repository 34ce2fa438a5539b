import { setTimeout as sleep } from 'node:timers/promises';
import type { Call, StandIn } from './stand-in-model-server.ts';
import { toyLabel } from './toy-model.ts';

/** How the stand-in answers one call. */
export type Respond = StandIn['respond'];

export const labelsOf = ({ vectors }: Call): string[] => vectors.map(toyLabel);
/** The body of a right answer. */
export const right = (call: Call) => JSON.stringify({ predictions: labelsOf(call) });

/** Answers 200 with what is made of the right labels. */
export const json =
  (spoil: (labels: string[]) => unknown): Respond =>
  (call) =>
    void call.response.setHeader('Content-Type', 'application/json').end(JSON.stringify(spoil(labelsOf(call))));
export const predictions = (spoil: (one: string) => unknown) => json((labels) => ({ predictions: labels.map(spoil) }));
export const status =
  (code: number, headers: Record<string, string> = {}): Respond =>
  (call) =>
    void call.response.writeHead(code, headers).end(right(call));

/** Writes bytes where an HTTP answer should be, and then ends the connection. */
export const bytes =
  (make: (call: Call) => string | Buffer, end: 'end' | 'stay' = 'end'): Respond =>
  (call) => {
    call.request.socket.write(make(call));
    if (end === 'end') call.request.socket.end();
  };
export const head = (...lines: string[]) =>
  ['HTTP/1.1 200 OK', 'Content-Type: application/json', ...lines, '', ''].join('\r\n');
export const cut = (text: string) => text.slice(0, Math.floor(text.length / 2));
export const chunk = (text: string, size = text.length) => `${size.toString(16)}\r\n${text}\r\n`;

export const compressed =
  (encoding: string, body: (call: Call) => Buffer): Respond =>
  (call) =>
    void call.response
      .writeHead(200, { 'Content-Type': 'application/json', 'Content-Encoding': encoding })
      .end(body(call));

export const isOpen = (call: Call) => !call.request.socket.destroyed && !call.request.socket.writableEnded;

/** Writes a text byte by byte, until it is all out or the client has left. */
export async function drip(call: Call, text: string, everyMs: number) {
  for (const byte of text) {
    if (!isOpen(call)) return;
    call.request.socket.write(byte);
    await sleep(everyMs);
  }
}

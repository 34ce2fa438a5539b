import { randomUUID } from 'node:crypto';
import type { Answer } from './caller.ts';
import type { TestService } from './test-service.ts';
import { toyCustomer } from './toy-model.ts';
import { until } from './until.ts';

const ended = ['succeeded', 'partially_succeeded', 'failed', 'cancelled'];

interface Sent {
  type?: string;
  key?: string;
  query?: string;
  headers?: Record<string, string>;
}

type Http = Pick<TestService, 'http'>;

/** Sends a list; CSV and a key of its own when nothing is said. */
export function sendList({ http }: Http, body: string | Buffer, sent: Sent = {}) {
  return http
    .post(`/v1/batches${sent.query ?? ''}`)
    .set({ 'Content-Type': sent.type ?? 'text/csv', 'Idempotency-Key': sent.key ?? randomUUID(), ...sent.headers })
    .send(body);
}

export async function progressOf({ http }: Http, id: string) {
  return (await http.get(`/v1/batches/${id}`).expect(200)).body;
}

export async function untilState(test: Http, id: string, ...states: string[]) {
  let batch = await progressOf(test, id);
  await until(async () => states.includes((batch = await progressOf(test, id)).state), 50);
  return batch;
}

export const untilEnded = (test: Http, id: string) => untilState(test, id, ...ended);

/** Sends a list and waits for its end. */
export async function labelList(test: Http, body: string | Buffer, sent?: Sent) {
  const { body: batch } = await sendList(test, body, sent).expect(202);
  return untilEnded(test, batch.id);
}

/** The bytes of a list's results, or of its rejected rows. */
export async function fetchList({ url }: Pick<TestService, 'url'>, path: string, headers: Record<string, string> = {}) {
  const answer = await fetch(`${url}/v1/batches/${path}`, { headers });
  return {
    status: answer.status,
    type: answer.headers.get('content-type'),
    bytes: Buffer.from(await answer.arrayBuffer()),
  };
}

const kinds = ['low', 'middle', 'high'] as const;

/** What the toy model says of the customer of a row. */
export const toyLabelOf = (row: number) => kinds[row % 3] as (typeof kinds)[number];

/** A list for the toy model; `idOf` names the customer of a row. */
export function toyList(rows: number, idOf: (row: number) => string = (row) => `C${row}`): string {
  const lines = ['id;height;visits;vip'];
  for (let row = 0; row < rows; row += 1) {
    const { height, visits, vip } = toyCustomer(toyLabelOf(row)).features;
    lines.push(`${idOf(row)};${height};${visits};${vip}`);
  }
  return `${lines.join('\n')}\n`;
}

export const codeOf = ({ text }: Pick<Answer, 'text'>) => (JSON.parse(text) as { code: string }).code;

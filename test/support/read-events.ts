import type { progressOf } from './lists.ts';

interface ServerSentEvent {
  event: string;
  data: Awaited<ReturnType<typeof progressOf>>;
}

/** Server-sent events of an address, one after the other, until the server ends them. */
export function createEventSource(url: string) {
  const events = read(url);
  return {
    async next(): Promise<ServerSentEvent | undefined> {
      return (await events.next()).value ?? undefined;
    },
    async rest(): Promise<ServerSentEvent[]> {
      const found: ServerSentEvent[] = [];
      for await (const event of events) found.push(event);
      return found;
    },
  };
}

async function* read(url: string): AsyncGenerator<ServerSentEvent, undefined> {
  const { body } = await fetch(url);
  let text = '';
  for await (const part of (body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    text += part;
    const blocks = text.split('\n\n');
    text = blocks.pop() as string;
    for (const block of blocks) {
      const of = (name: string) => new RegExp(`^${name}: ?(.*)$`, 'm').exec(block)?.[1];
      const data = of('data');
      if (data !== undefined) yield { event: of('event') ?? 'message', data: JSON.parse(data) };
    }
  }
}

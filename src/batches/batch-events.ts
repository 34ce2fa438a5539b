import { setTimeout as sleep } from 'node:timers/promises';
import { createSession } from 'better-sse';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Batch } from './batch.ts';
import { endStates } from './batch.ts';

interface BatchEventsOptions {
  find(): Promise<Batch | undefined>;
  describe(batch: Batch): object;
  left: AbortSignal;
  everyMs?: number;
}

/** Id of the event `end`: a browser that comes back with it has been told everything. */
export const endEventId = 'end';

/**
 * Tells a caller of a list's progress, as server-sent events named `progress`, until the list ends, which an event `end`
 * says, or the caller leaves.
 */
export async function sendBatchEvents(
  request: IncomingMessage,
  response: ServerResponse,
  options: BatchEventsOptions,
): Promise<void> {
  const { find, describe, left, everyMs = 1_000 } = options;
  const session = await createSession(request, response);
  let told = '';
  for (let isOver = false; !isOver && !left.aborted;) {
    const batch = await find();
    // Its caller may have left meanwhile
    if (!session.isConnected) return;
    const progress = batch && JSON.stringify(describe(batch));
    if (progress !== undefined && progress !== told) session.push(JSON.parse(progress), 'progress');
    told = progress ?? told;
    isOver = batch === undefined || endStates.includes(batch.state);
    if (isOver) session.push({ state: batch?.state ?? null }, 'end', endEventId);
    else await sleep(everyMs, undefined, { signal: left }).catch(() => {});
  }
  response.end();
}

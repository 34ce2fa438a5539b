import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** What scripts.serving writes into status.json. */
export interface ServingStatus {
  live: { version: string; answers: boolean; since: string; goldenRows: number; restarts: number } | null;
  candidate: string | null;
  draining: string | null;
  refused: { version: string; reason: string }[];
}

export function readServingStatus(home: string): ServingStatus {
  return JSON.parse(readFileSync(join(home, 'status.json'), 'utf8')) as ServingStatus;
}

/** Waits until a version answers and the one before has ended; how long at most is the test's own time limit. */
export async function untilServed(home: string, version: string): Promise<void> {
  for (;;) {
    const { live, draining } = readServingStatus(home);
    if (live?.answers && live.version === version && draining === null) return;
    await sleep(20);
  }
}

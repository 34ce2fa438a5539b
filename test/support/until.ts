import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until something holds; how long at most is the test's own time limit. */
export async function until(holds: () => boolean | Promise<boolean>, everyMs = 20): Promise<void> {
  while (!(await holds())) await sleep(everyMs);
}

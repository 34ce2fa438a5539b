import { setTimeout as sleep } from 'node:timers/promises';

/** What comes, and `pause` whenever nothing has come for so long. */
export async function* withPauses<T>(source: AsyncGenerator<T>, everyMs: number): AsyncGenerator<T | 'pause'> {
  try {
    for (;;) {
      const next = source.next();
      for (;;) {
        const waiting = new AbortController();
        const pause = sleep(everyMs, 'pause' as const, { signal: waiting.signal }).catch(() => 'pause' as const);
        const first = await Promise.race([next, pause]).finally(() => waiting.abort());
        if (first === 'pause') yield first;
        else if (first.done) return;
        else {
          yield first.value;
          break;
        }
      }
    }
  } finally {
    await source.return(undefined);
  }
}

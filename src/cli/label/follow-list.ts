import { setTimeout as sleep } from 'node:timers/promises';
import { endStates } from '../../batches/batch.ts';
import type { Locale } from '../../locale.ts';
import { DependencyDownError, InterruptedError } from './label-errors.ts';
import { textsIn } from './label-texts.ts';
import type { BatchView, ListService } from './list-service.ts';
import type { ProgressDisplay } from './progress-display.ts';

export interface Patience {
  display: ProgressDisplay;
  locale: Locale;
  signal: AbortSignal;
  /** How long something may be away; undefined: the model server for ever, others a minute, or not at all at first. */
  waitMs: number | undefined;
}

const pollMs = 500;
const retryMs = 1_000;
/** A service that was there and restarts. */
const restartMs = 60_000;

/** Does it again while the service is away, for at most `limitMs`. */
export async function patiently<T>(work: () => Promise<T>, limitMs: number, patience: Patience): Promise<T> {
  const { display, locale, signal } = patience;
  const until = performance.now() + limitMs;
  for (let isSaid = false; ; isSaid = true) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof DependencyDownError) || performance.now() > until) throw error;
      if (!isSaid) display.say(textsIn(locale).retrying(error.message));
      await pause(retryMs, patience);
    }
    if (signal.aborted) throw new InterruptedError(textsIn(locale).interrupted);
  }
}

/** Watches a list until it ends. @throws DependencyDownError when what it waits for, or the service, is away too long */
export async function followList(service: ListService, id: string, patience: Patience): Promise<BatchView> {
  const { display, locale, waitMs } = patience;
  const texts = textsIn(locale);
  let waitingSince: number | undefined;
  for (;;) {
    const batch = await patiently(() => service.progress(id), waitMs ?? restartMs, patience);
    display.labelling(batch);
    if (endStates.includes(batch.state)) return batch;
    if (batch.state !== 'waiting') waitingSince = undefined;
    else waitingSince ??= performance.now();
    if (waitMs !== undefined && waitingSince !== undefined && performance.now() - waitingSince > waitMs)
      throw new DependencyDownError(
        texts.waitedTooLong(waitMs / 1_000, texts.reasons[batch.reason ?? ''] ?? String(batch.reason)),
      );
    await pause(pollMs, patience);
  }
}

/** @throws InterruptedError */
export async function pause(ms: number, { locale, signal }: Pick<Patience, 'locale' | 'signal'>): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {
    throw new InterruptedError(textsIn(locale).interrupted);
  });
}

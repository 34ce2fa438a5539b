import { endStates } from '../../batches/batch.ts';
import { pause, patiently, type Patience } from './follow-list.ts';
import { RefusedError } from './label-errors.ts';
import { textsIn } from './label-texts.ts';
import type { BatchView, ListService } from './list-service.ts';

interface SendOptions extends Patience {
  /** Of the list and of what is said of it: the same list has the same key. */
  key: string;
  /** Send a list that was labelled before as a new one. */
  again: boolean;
  send(key: string): Promise<BatchView>;
}

const sameUploadMs = 1_000;

/** Sends a list, or finds the one that an earlier run sent. One that came to nothing is sent again as a new list. */
export async function sendList(service: ListService, options: SendOptions): Promise<BatchView> {
  const { key, again, send, waitMs = 0, display, locale } = options;
  const texts = textsIn(locale);
  let isSaid = false;

  /** The list may have been sent --again since. */
  async function findNewest(first: BatchView, firstRound: number): Promise<BatchView> {
    let newest = first;
    for (let round = firstRound + 1; ; round += 1) {
      const later = await patiently(() => service.findByKey(`${key}-${round}`), waitMs, options);
      if (!later) return newest;
      if (later.state !== 'receiving' && !cameToNothing(later)) newest = later;
    }
  }

  for (let round = 1; ; round += 1) {
    const roundKey = round === 1 ? key : `${key}-${round}`;
    for (;;) {
      const known = await patiently(() => service.findByKey(roundKey), waitMs, options);
      if (!known) {
        try {
          return await patiently(() => send(roundKey), waitMs, options);
        } catch (error) {
          if (!(error instanceof RefusedError) || error.code !== 'idempotency_in_progress') throw error;
        }
      } else if (known.state !== 'receiving') {
        if (again ? endStates.includes(known.state) : cameToNothing(known)) break;
        const newest = again ? known : await findNewest(known, round);
        display.say(texts.known(new Date(newest.createdAt).toLocaleString(locale)));
        return newest;
      }
      if (!isSaid) display.say(texts.otherUpload);
      isSaid = true;
      await pause(sameUploadMs, options);
    }
  }
}

function cameToNothing({ state, reason }: BatchView): boolean {
  return state === 'cancelled' || (state === 'failed' && reason === 'chunk_given_up');
}

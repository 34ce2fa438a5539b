import type { Contract } from '../contract/contract.ts';
import { createCsvRejectedWriter, createCsvResultWriter } from '../list-files/write-csv-results.ts';
import type { Locale } from '../locale.ts';
import type { ChunkStore } from './chunk-store.ts';
import type { ListPlan } from './list-plan.ts';
import type { ListThread } from './list-thread.ts';

export interface ResultsWanted {
  batchId: string;
  plan: ListPlan;
  what: 'results' | 'rejected';
  as: 'csv' | 'ndjson';
  locale: Locale;
}

interface StreamResultsOptions {
  chunks: Pick<ChunkStore, 'read'>;
  thread: ListThread;
  contract(): Contract;
}

export type StreamResults = (wanted: ResultsWanted) => AsyncGenerator<Uint8Array>;

/** A list with its labels, or its refused rows, chunk by chunk: memory does not grow with the list. */
export function createStreamResults({ chunks, thread, contract }: StreamResultsOptions): StreamResults {
  return async function* stream({ batchId, plan, what, as, locale }) {
    if (as === 'csv' && plan.kind === 'csv') {
      const writer = what === 'results' ? createCsvResultWriter(plan) : createCsvRejectedWriter({ ...plan, locale });
      yield writer.begin();
    }
    const name = what === 'results' ? 'write' : 'writeRejected';
    for (let number = 0; ; number += 1) {
      const chunk = await chunks.read(batchId, number);
      if (!chunk) return;
      yield await thread.do(name, { ...chunk, plan, contract: contract(), as, locale });
    }
  };
}

import type { Logger } from '../logger.ts';
import type { BatchStore } from './batch-store.ts';
import type { ChunkStore } from './chunk-store.ts';
import { countDuplicates } from './customer-hashes.ts';
import type { ListThread } from './list-thread.ts';

interface EndListOptions {
  batches: Pick<BatchStore, 'keepTotals'>;
  chunks: Pick<ChunkStore, 'isToBeEnded' | 'customerHashes' | 'end'>;
  thread: ListThread;
  logger: Logger;
}

export type EndList = (batchId: string) => Promise<void>;

/** Ends a list once every chunk of it is done; whoever did the last one asks, and asking twice does no harm. */
export function createEndList({ batches, chunks, thread, logger }: EndListOptions): EndList {
  return async (batchId) => {
    const list = await chunks.isToBeEnded(batchId);
    if (!list) return;
    const read = () => chunks.customerHashes(batchId);
    const duplicates = await countDuplicates(read, list.rows, (hashes) => thread.do('countRepeats', { hashes }));
    const ended = await chunks.end(batchId, duplicates);
    if (!ended) return;
    logger.info({ batchId, ...ended, duplicates }, 'a list ended');
    await batches.keepTotals(batchId);
  };
}

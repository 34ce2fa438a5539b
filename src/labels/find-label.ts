import { createMicroBatcher } from '../model-server/micro-batcher.ts';
import type { LabelStore } from './label-store.ts';
import type { StoredLabel } from './labelling.ts';

/** The current label of one customer. Look-ups that wait for the database go to it together. */
export type FindLabel = (customerId: string, left: AbortSignal) => Promise<StoredLabel | undefined>;

const maxRowsPerRead = 256;
const readsInFlight = 2;
/** A second read at once only for many, or behind a slow one: each read is dearer than what is in it. */
const secondRead = { rows: maxRowsPerRead, afterMs: 10 };

export function createFindLabel(options: {
  labels: Pick<LabelStore, 'current'>;
  limits: { maxQueuedRows: number; timeoutMs: number };
}): FindLabel {
  const reading = createMicroBatcher<string, StoredLabel | undefined>({
    async process(customerIds) {
      const found = await options.labels.current(customerIds);
      return customerIds.map((customerId) => ({ answer: found.get(customerId) }));
    },
    maxRows: maxRowsPerRead,
    maxInFlight: readsInFlight,
    beside: secondRead,
    maxQueued: options.limits.maxQueuedRows,
    timeoutMs: options.limits.timeoutMs,
  });
  return async (customerId, left) => {
    const [label] = reading.submit([customerId], left);
    return label;
  };
}

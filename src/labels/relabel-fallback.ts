import { toServiceError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { LabelCustomers } from './label-customers.ts';
import type { LabelQueryStore } from './label-query-store.ts';
import type { StoredLabel } from './labelling.ts';

export interface RelabelFallback {
  /** A label was made without the model server, so there is something to do. */
  owed(): void;
  start(): void;
  close(): Promise<void>;
}

interface RelabelFallbackOptions {
  labels: Pick<LabelQueryStore, 'list'>;
  labelCustomers: Pick<LabelCustomers, 'again'>;
  /** Whether the model server answers as it should. */
  isProved(): boolean;
  logger: Logger;
  everyMs?: number;
}

/** About what waits anyway while people work: more at once would keep them waiting. */
const pageRows = 256;

/**
 * Labels again, once the model server is back, the customers whose label the embedded copy made meanwhile. What an
 * earlier process left is found at the start. A pass that an outage ends begins anew after it.
 */
export function createRelabelFallback(options: RelabelFallbackOptions): RelabelFallback {
  const { labels, labelCustomers, isProved, logger, everyMs = 1_000 } = options;
  const closing = new AbortController();
  let isOwed = true;
  let pass: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;

  async function relabel() {
    if (!isOwed || !isProved()) return;
    isOwed = false;
    let [found, relabelled] = [0, 0];
    try {
      let after: StoredLabel | undefined;
      do {
        const page = await labels.list(
          { source: 'embedded' },
          { sort: 'customerId', limit: pageRows, ...(after && { after }) },
        );
        found += page.length;
        relabelled += await labelCustomers.again(page, closing.signal);
        after = page.length === pageRows ? page.at(-1) : undefined;
      } while (after && !closing.signal.aborted);
    } catch (error) {
      isOwed = true;
      if (!closing.signal.aborted)
        logger.info({ err: toServiceError(error), relabelled }, 'labelling again is put off');
      return;
    }
    if (found > 0) logger.info({ found, relabelled }, 'customers labelled in the outage are labelled again');
  }

  const look = () => {
    pass = relabel().then(() => {
      if (!closing.signal.aborted) timer = setTimeout(look, everyMs).unref();
    });
  };

  return {
    owed() {
      isOwed = true;
    },
    start: look,
    async close() {
      closing.abort();
      clearTimeout(timer);
      await pass;
    },
  };
}

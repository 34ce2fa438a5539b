import { Worker } from 'node:worker_threads';
import type { Contract } from '../contract/contract.ts';
import type { StoredFeatures } from '../labels/list-labels.ts';
import type { DecimalSurvey, surveyDecimals } from '../list-files/detect-format.ts';
import type { Piece } from '../list-files/list-format.ts';
import type { ListTally } from '../list-files/list-report.ts';
import type { Locale } from '../locale.ts';
import type { ChunkFeatures } from './chunk-rows.ts';
import type { PreparedLabels, ScoredChunk } from './prepare-labels.ts';
import type { ListPlan } from './list-plan.ts';

/** A piece of a file as it is kept, compressed. */
export interface PackedPiece extends Omit<Piece, 'bytes'> {
  body: Uint8Array;
}

/** A chunk to be written out again, with what became of its rows. */
export interface WriteChunk {
  piece: PackedPiece;
  plan: ListPlan;
  contract: Contract;
  /** Compressed. */
  result: Uint8Array | null;
  isGivenUp: boolean;
  as: 'csv' | 'ndjson';
  locale: Locale;
}

export interface HeldRows {
  token: string;
  features: ChunkFeatures;
}

/** What the thread does: each is one message with its answer. */
export interface ListWork {
  pack: {
    given: { bytes: Uint8Array; survey: Parameters<typeof surveyDecimals>[1] | undefined };
    done: { body: Uint8Array; survey: DecimalSurvey | undefined };
  };
  /** Rows stay in the thread under a token, until they are forgotten. */
  read: { given: { piece: PackedPiece; plan: ListPlan; contract: Contract }; done: HeldRows };
  readStored: { given: { idsJson: string; stored: StoredFeatures; contract: Contract }; done: HeldRows };
  prepare: { given: { token: string } & ScoredChunk; done: PreparedLabels };
  forget: { given: string; done: void };
  tally: {
    given: { piece: PackedPiece; plan: ListPlan; contract: Contract };
    /** The hashes are of the accepted rows' customers. */
    done: { tally: ListTally; customerHashes: Uint8Array };
  };
  countRepeats: { given: { hashes: BigUint64Array }; done: number };
  write: { given: WriteChunk; done: Uint8Array };
  writeRejected: { given: WriteChunk; done: Uint8Array };
}

export interface ListThread {
  do<Name extends keyof ListWork>(name: Name, given: ListWork[Name]['given']): Promise<ListWork[Name]['done']>;
  close(): Promise<void>;
}

const memory = { maxYoungGenerationSizeMb: 16 };

/**
 * Reading and writing lists happens in a thread of its own, so that single customers never wait for it. It begins with
 * the first list.
 */
export function createListThread(): ListThread {
  let worker: Worker | undefined;
  let lastId = 0;
  const waiting = new Map<number, { resolve(done: never): void; reject(error: Error): void }>();

  function open(): Worker {
    const opened = new Worker(new URL('./list-worker.ts', import.meta.url), { resourceLimits: memory });
    opened.unref();
    opened.on('message', ({ id, done, error }: { id: number; done: never; error?: string }) => {
      const { resolve, reject } = waiting.get(id) ?? {};
      waiting.delete(id);
      if (error === undefined) resolve?.(done);
      else reject?.(new Error(error));
    });
    opened.on('error', (error) => fail(error as Error));
    opened.on('exit', () => {
      if (worker === opened) worker = undefined;
      fail(new Error('the thread for lists ended'));
    });
    return opened;
  }

  function fail(error: Error) {
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  }

  return {
    do(name, given) {
      worker ??= open();
      lastId += 1;
      const id = lastId;
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        worker?.postMessage({ id, name, given });
      });
    },
    async close() {
      await worker?.terminate();
    },
  };
}

import type { Contract } from '../contract/contract.ts';
import type { ListLabels } from '../labels/list-labels.ts';
import type { ListPlan } from './list-plan.ts';
import type { HeldRows, ListThread, PackedPiece } from './list-thread.ts';
import { unpackIds } from './stored-rows.ts';

export type ReadChunk = (chunk: { piece: PackedPiece; plan: ListPlan }, contract: Contract) => Promise<HeldRows>;

interface ReadChunkOptions {
  thread: ListThread;
  listLabels: Pick<ListLabels, 'storedFeatures'>;
}

/** Reads a chunk's rows by a contract, of a file or as they are stored at this moment; the thread for lists holds them. */
export function createReadChunk({ thread, listLabels }: ReadChunkOptions): ReadChunk {
  return async ({ piece, plan }, contract) => {
    if (plan.kind !== 'stored') return thread.do('read', { piece, plan, contract });
    const idsJson = await unpackIds(piece.body);
    return thread.do('readStored', { idsJson, stored: await listLabels.storedFeatures(idsJson), contract });
  };
}

const firstPauseMs = 2_000;
const longestPauseMs = 60_000;

export interface Setbacks {
  /** For how long the list is left alone yet; 0: not at all. */
  remainingMs(batchId: string): number;
  /** Whether the list had a setback since a chunk of it was last done. */
  has(batchId: string): boolean;
  /** Leaves a list alone, each time for twice as long. @returns for how long */
  add(batchId: string): number;
  clear(batchId: string): void;
}

/**
 * Lists whose fault comes back though the model is proved in between. It is theirs alone, so nobody waits for it: their
 * chunks go back to the queue for a pause that grows, and other lists go on. Of this instance; a restart tries anew.
 */
export function createSetbacks(): Setbacks {
  const lists = new Map<string, { pauseMs: number; until: number }>();
  const remainingMs = (batchId: string) => Math.max(0, (lists.get(batchId)?.until ?? 0) - performance.now());
  return {
    remainingMs,
    has: (batchId) => lists.has(batchId),
    add(batchId) {
      // Chunks that were in hand beside it are the same setback
      if (remainingMs(batchId) > 0) return remainingMs(batchId);
      const pauseMs = Math.min(longestPauseMs, 2 * (lists.get(batchId)?.pauseMs ?? firstPauseMs / 2));
      lists.set(batchId, { pauseMs, until: performance.now() + pauseMs });
      return pauseMs;
    },
    clear: (batchId) => void lists.delete(batchId),
  };
}

import { sql } from 'kysely';
import type { Queries } from '../database/database.ts';
import type { Claim } from '../labels/labelling.ts';
import type { ListTally } from '../list-files/list-report.ts';
import type { ChunkJob } from '../jobs/job-queue.ts';
import type { WaitReason } from './batch.ts';
import type { ListPlan } from './list-plan.ts';
import type { PackedPiece } from './list-thread.ts';

export interface TakenChunk {
  piece: PackedPiece;
  plan: ListPlan;
  /** When its list came; later chunks of it count as a moment later. */
  receivedAt: Date;
  isWaiting: boolean;
}

/** Which of a list's chunks: the queue's own words are of no interest here. */
type ChunkPlace = Pick<ChunkJob, 'batchId' | 'number'>;

export interface DoneChunk {
  labelled: number;
  rejected: number;
  versions: Record<string, number>;
  errors: ListTally['errors'];
  /** Compressed. */
  result: Uint8Array;
  /** Of the labelled rows' customers, 8 bytes each. */
  customerHashes: Uint8Array;
}

export interface ChunkStore {
  /** Takes a chunk over, whoever had it before. @returns undefined when there is nothing left to do with it. */
  take(chunk: ChunkPlace, attempt: string): Promise<TakenChunk | undefined>;
  /** Marks a chunk as done, if this attempt still holds it and its list goes on. */
  claimDone(chunk: ChunkPlace, attempt: string, done: DoneChunk): Claim;
  /** A list that goes on though every chunk of it is done. */
  isToBeEnded(batchId: string): Promise<{ rows: number } | undefined>;
  /** Ends the list if every chunk of it is done. @returns how it ended, or undefined when it goes on or had ended */
  end(batchId: string, duplicates: number): Promise<EndedList | undefined>;
  /** The customers of labelled rows, chunk by chunk. */
  customerHashes(batchId: string): AsyncGenerator<Uint8Array>;
  /**
   * Says why the list waits, or null that it goes on; one that no contract fits is left as it is, since its chunks have
   * left the queue. @returns whether it still does either, and whether that is new
   */
  setWaiting(batchId: string, reason: WaitReason | null): Promise<{ isActive: boolean; isNew: boolean }>;
  giveUp(chunk: ChunkPlace): Promise<void>;
  /** A chunk with its result, null while it has none. */
  read(batchId: string, number: number): Promise<ReadChunkRow | undefined>;
  /** Chunks of lists that can go on and are in nobody's queue: their instance ended in between. */
  unfinished(batchId: string): Promise<ChunkJob[]>;
}

export interface EndedList {
  state: string;
  labelled: number;
  rejected: number;
}

interface ReadChunkRow {
  piece: PackedPiece;
  result: Uint8Array | null;
  isGivenUp: boolean;
}

const active = sql.join(['pending', 'running', 'waiting']);

export function createChunkStore(queries: Queries): ChunkStore {
  const chunkOf = ({ batchId, number }: ChunkPlace) =>
    sql`SELECT body, first_line, first_row, line_count, row_count, result, is_given_up FROM batch_chunks
      WHERE batch_id = ${batchId} AND number = ${number}`;

  return {
    async take({ batchId, number }, attempt) {
      const { rows } = await sql<ChunkRow & { plan: ListPlan; created_at: Date; state: string }>`
        WITH list AS (
          UPDATE batches SET state = CASE WHEN state = 'pending' THEN 'running' ELSE state END,
            started_at = coalesce(started_at, now())
          WHERE id = ${batchId} AND state IN (${active}) RETURNING plan, created_at, state
        ), taken AS (
          UPDATE batch_chunks SET attempt = ${attempt}
          WHERE batch_id = ${batchId} AND number = ${number}::int AND done_at IS NULL AND EXISTS (SELECT FROM list)
          RETURNING body, first_line, first_row, line_count, row_count
        )
        SELECT * FROM taken, list`.execute(queries);
      const [row] = rows;
      if (!row) return undefined;
      const receivedAt = new Date(row.created_at.getTime() + number);
      return { piece: toPiece(row), plan: row.plan, receivedAt, isWaiting: row.state === 'waiting' };
    },

    claimDone: ({ batchId, number }, attempt, { labelled, rejected, versions, errors, result, customerHashes }) => ({
      sql: (first) => {
        const [id, no, who, labels, refusals, of, why, bytes, hashes] = Array.from(
          { length: 9 },
          (_, i) => `$${first + i}`,
        );
        return `
          UPDATE batch_chunks SET done_at = now(), labelled = ${labels}::int, rejected = ${refusals}::int,
            versions = ${of}::jsonb, errors = ${why}::jsonb, result = ${bytes}::bytea,
            customer_hashes = ${hashes}::bytea
          WHERE batch_id = ${id}::text AND number = ${no}::int AND attempt = ${who}::text AND done_at IS NULL
            AND EXISTS (SELECT FROM batches WHERE id = ${id}::text AND state IN ('pending', 'running', 'waiting'))
          RETURNING number`;
      },
      parameters: [
        batchId,
        number,
        attempt,
        labelled,
        rejected,
        JSON.stringify(versions),
        JSON.stringify(errors),
        result,
        customerHashes,
      ],
    }),

    async isToBeEnded(batchId) {
      const { rows } = await sql<{ rows: number }>`
        SELECT row_count AS rows FROM batches WHERE id = ${batchId} AND state IN (${active})
          AND NOT EXISTS (SELECT FROM batch_chunks WHERE batch_id = ${batchId} AND done_at IS NULL)`.execute(queries);
      return rows[0];
    },

    async end(batchId, duplicates) {
      const { rows } = await sql<EndedList>`
        WITH total AS (
          SELECT coalesce(sum(labelled), 0)::int AS labelled, coalesce(sum(rejected), 0)::int AS rejected,
            bool_or(is_given_up) AS has_given_up
          FROM batch_chunks WHERE batch_id = ${batchId}
          HAVING coalesce(bool_and(done_at IS NOT NULL), true)
        ), cleared AS (
          UPDATE batch_chunks SET customer_hashes = NULL WHERE batch_id = ${batchId} AND EXISTS (SELECT FROM total)
        )
        UPDATE batches SET finished_at = now(), duplicate_count = ${duplicates}::int,
          reason = CASE WHEN has_given_up THEN 'chunk_given_up' END,
          state = CASE
            WHEN has_given_up OR (labelled = 0 AND rejected > 0) THEN 'failed'
            WHEN rejected > 0 THEN 'partially_succeeded'
            ELSE 'succeeded'
          END
        FROM total WHERE id = ${batchId} AND state IN (${active})
        RETURNING state, labelled, rejected`.execute(queries);
      return rows[0];
    },

    async *customerHashes(batchId) {
      const chunks = queries.selectFrom('batch_chunks').where('batch_id', '=', batchId);
      const numbers = await chunks
        .select('number')
        .where('customer_hashes', 'is not', null)
        .orderBy('number')
        .execute();
      for (const { number } of numbers) {
        const row = await chunks.select('customer_hashes').where('number', '=', number).executeTakeFirst();
        if (row?.customer_hashes) yield row.customer_hashes;
      }
    },

    async setWaiting(batchId, reason) {
      const state = reason === null ? 'running' : 'waiting';
      const { rows } = await sql<{ is_active: boolean; is_new: boolean }>`
        WITH list AS (SELECT id FROM batches WHERE id = ${batchId} AND state IN (${active})), changed AS (
          UPDATE batches SET state = ${state}, reason = ${reason} WHERE id = ${batchId} AND state IN (${active})
            AND (state, coalesce(reason, '')) <> (${state}, ${reason ?? ''})
            AND coalesce(reason, '') <> 'contract_changed' RETURNING id
        )
        SELECT EXISTS (SELECT FROM list) AS is_active, EXISTS (SELECT FROM changed) AS is_new`.execute(queries);
      const [told] = rows;
      return { isActive: told?.is_active === true, isNew: told?.is_new === true };
    },

    async giveUp({ batchId, number }) {
      await sql`
        UPDATE batch_chunks SET done_at = now(), is_given_up = true, attempt = NULL, rejected = row_count
        WHERE batch_id = ${batchId} AND number = ${number}::int AND done_at IS NULL`.execute(queries);
    },

    async read(batchId, number) {
      const { rows } = await sql<
        ChunkRow & { result: Uint8Array | null; is_given_up: boolean }
      >`${chunkOf({ batchId, number })}`.execute(queries);
      const [row] = rows;
      return row && { piece: toPiece(row), result: row.result, isGivenUp: row.is_given_up };
    },

    async unfinished(batchId) {
      const rows = await queries
        .selectFrom('batch_chunks')
        .innerJoin('batches', 'id', 'batch_id')
        .select(['batch_id', 'number', 'touched_at'])
        .where('batch_id', '=', batchId)
        .where('done_at', 'is', null)
        .orderBy('number')
        .execute();
      return rows.map((row) => ({ batchId: row.batch_id, number: row.number, round: row.touched_at.getTime() }));
    },
  };
}

interface ChunkRow {
  body: Uint8Array;
  first_line: number;
  first_row: number;
  line_count: number;
  row_count: number;
}

function toPiece(row: ChunkRow): PackedPiece {
  return {
    body: row.body,
    firstLine: row.first_line,
    firstRow: row.first_row,
    lines: row.line_count,
    rows: row.row_count,
  };
}

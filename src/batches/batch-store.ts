import { sql } from 'kysely';
import type { Queries } from '../database/database.ts';
import type { ListPlan } from './list-plan.ts';
import type { PackedPiece } from './list-thread.ts';
import { type Batch, type BatchState, endStates } from './batch.ts';
import type { BatchReport } from './batch-report.ts';
import { chunksOf, sumChunks, type Totals } from './chunk-totals-store.ts';

export interface BatchStore {
  /**
   * Begins a list. An upload with the same key that has sent nothing since `silentSince` is forgotten.
   * @returns the one that has the key already, or undefined when this is a new one.
   */
  create(batch: { id: string; key: string; now: Date; silentSince: Date }): Promise<KnownBatch | undefined>;
  addChunk(batchId: string, number: number, piece: PackedPiece): Promise<void>;
  /** Somebody still sends it. */
  touch(batchId: string): Promise<void>;
  /** All of it is there: it can be worked on from now on. */
  complete(batchId: string, whole: { plan: ListPlan; report: BatchReport; hash: Buffer; rows: number }): Promise<void>;
  /** Forgets a list with all of its chunks. */
  remove(batchId: string): Promise<void>;
  find(batchId: string): Promise<Batch | undefined>;
  planOf(batchId: string): Promise<ListPlan | null | undefined>;
  /** Newest first, from after `after`; with a key, the list that has it. */
  list(page: { limit: number; after?: { createdAt: Date; id: string }; key?: string }): Promise<Batch[]>;
  /** @returns whether it was still to be ended. */
  cancel(batchId: string, now: Date): Promise<boolean>;
  /** Lists that were whole before this moment and that nobody has begun. */
  unstarted(before: Date): Promise<string[]>;
  /** Lists that wait for a contract with their features, and whose chunks have left the queue. */
  parked(): Promise<{ id: string; plan: ListPlan }[]>;
  /** Has a parked list go on. @returns false when another instance was quicker */
  resume(batchId: string): Promise<boolean>;
  /** How many lists there are in each state before the end. */
  countOpen(): Promise<OpenLists>;
  /** Lists that are worked on: their chunks should be in the queue. */
  underWay(): Promise<{ id: string; touchedAt: Date }[]>;
  /** Has the chunks of such a list queued anew. @returns false when another instance was quicker */
  beginRound(list: { id: string; touchedAt: Date }): Promise<boolean>;
  /** Adds the chunks of a list that has ended up, once. */
  keepTotals(batchId: string): Promise<void>;
  /** Lists that ended before this moment without that: they were cancelled, or their instance ended in between. */
  withoutTotals(endedBefore: Date): Promise<string[]>;
  /** Forgets uploads that nobody sends any more, and lists that ended before `endedBefore`. */
  sweep(times: { touchedBefore: Date; endedBefore: Date }): Promise<void>;
}

export type OpenLists = Record<(typeof openStates)[number], number>;
const openStates = ['pending', 'running', 'waiting'] as const;

export interface KnownBatch {
  id: string;
  state: BatchState;
  hash: Uint8Array | null;
}

/** Lists and their progress; the work on their chunks is in chunk-store. */
export function createBatchStore(queries: Queries): BatchStore {
  return {
    async create({ id, key, now, silentSince }) {
      await queries
        .deleteFrom('batches')
        .where('idempotency_key', '=', key)
        .where('state', '=', 'receiving')
        .where('touched_at', '<', silentSince)
        .execute();
      const made = await queries
        .insertInto('batches')
        .values({ id, state: 'receiving', idempotency_key: key, created_at: now, touched_at: now } as never)
        .onConflict((conflict) => conflict.column('idempotency_key').doNothing())
        .returning('id')
        .execute();
      if (made.length > 0) return undefined;
      const known = await queries
        .selectFrom('batches')
        .select(['id', 'state', 'content_hash as hash'])
        .where('idempotency_key', '=', key)
        .executeTakeFirst();
      // Gone in between: its upload had failed
      return known ? { ...known, state: known.state as BatchState } : this.create({ id, key, now, silentSince });
    },

    async addChunk(batchId, number, { body, firstLine, firstRow, lines, rows }) {
      const added = await sql`
        WITH touched AS (UPDATE batches SET touched_at = now() WHERE id = ${batchId} RETURNING id)
        INSERT INTO batch_chunks (batch_id, number, first_line, first_row, line_count, row_count, body)
        SELECT id, ${number}::int, ${firstLine}::int, ${firstRow}::int, ${lines}::int, ${rows}::int, ${body}::bytea
        FROM touched RETURNING number`.execute(queries);
      if (added.rows.length === 0) throw new Error('the list is not there any more');
    },

    async touch(batchId) {
      await queries.updateTable('batches').set({ touched_at: new Date() }).where('id', '=', batchId).execute();
    },

    async complete(batchId, { plan, report, hash, rows }) {
      await queries
        .updateTable('batches')
        .set({
          state: 'pending',
          plan: JSON.stringify(plan),
          report: JSON.stringify(report),
          content_hash: hash,
          row_count: rows,
          touched_at: new Date(),
        })
        .where('id', '=', batchId)
        .execute();
    },

    async remove(batchId) {
      await queries.deleteFrom('batches').where('id', '=', batchId).execute();
    },

    async find(batchId) {
      const [found] = await read(queries, (rows) => rows.where('id', '=', batchId));
      return found;
    },

    async planOf(batchId) {
      const row = await queries.selectFrom('batches').select('plan').where('id', '=', batchId).executeTakeFirst();
      return row && (row.plan as ListPlan | null);
    },

    list({ limit, after, key }) {
      return read(queries, (rows) =>
        rows
          .$if(after !== undefined, (all) =>
            all.where(sql<boolean>`(created_at, id) < (${after?.createdAt}::timestamptz, ${after?.id})`),
          )
          .$if(key !== undefined, (all) => all.where('idempotency_key', '=', key as string))
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc')
          .limit(limit),
      );
    },

    async cancel(batchId, now) {
      const done = await queries
        .updateTable('batches')
        .set({ state: 'cancelled', reason: null, finished_at: now })
        .where('id', '=', batchId)
        .where('state', 'not in', endStates)
        .returning('id')
        .execute();
      return done.length > 0;
    },

    async unstarted(before) {
      const rows = await queries
        .selectFrom('batches')
        .select('id')
        .where('state', '=', 'pending')
        .where('touched_at', '<', before)
        .execute();
      return rows.map(({ id }) => id);
    },

    async parked() {
      const rows = await queries
        .selectFrom('batches')
        .select(['id', 'plan'])
        .where('state', '=', 'waiting')
        .where('reason', '=', 'contract_changed')
        .execute();
      return rows.map(({ id, plan }) => ({ id, plan: plan as ListPlan }));
    },

    async resume(batchId) {
      const resumed = await queries
        .updateTable('batches')
        .set({ state: 'pending', reason: null, touched_at: new Date() })
        .where('id', '=', batchId)
        .where('state', '=', 'waiting')
        .where('reason', '=', 'contract_changed')
        .returning('id')
        .execute();
      return resumed.length > 0;
    },

    async countOpen() {
      const rows = await queries
        .selectFrom('batches')
        .select(['state', sql<number>`count(*)::int`.as('lists')])
        .where('state', 'in', openStates)
        .groupBy('state')
        .execute();
      const counted = Object.fromEntries(rows.map(({ state, lists }) => [state, lists]));
      return { pending: 0, running: 0, waiting: 0, ...counted };
    },

    async underWay() {
      const rows = await queries
        .selectFrom('batches')
        .select(['id', 'touched_at as touchedAt'])
        .where('state', 'in', ['running', 'waiting'])
        .where(sql<boolean>`coalesce(reason, '') <> 'contract_changed'`)
        .execute();
      return rows;
    },

    async beginRound({ id, touchedAt }) {
      const begun = await queries
        .updateTable('batches')
        .set({ touched_at: new Date() })
        .where('id', '=', id)
        .where(sql<boolean>`date_trunc('milliseconds', touched_at) = ${touchedAt}::timestamptz`)
        .returning('id')
        .execute();
      return begun.length > 0;
    },

    async keepTotals(batchId) {
      const totals = sumChunks(await chunksOf(queries, [batchId]));
      await queries
        .updateTable('batches')
        .set({ totals: JSON.stringify(totals) })
        .where('id', '=', batchId)
        .where('state', 'in', endStates)
        .where('totals', 'is', null)
        .execute();
    },

    async withoutTotals(endedBefore) {
      const rows = await queries
        .selectFrom('batches')
        .select('id')
        .where('state', 'in', endStates)
        .where('totals', 'is', null)
        .where('finished_at', '<', endedBefore)
        .limit(totalsAtOnce)
        .execute();
      return rows.map(({ id }) => id);
    },

    async sweep({ touchedBefore, endedBefore }) {
      await queries
        .deleteFrom('batches')
        .where((row) =>
          row.or([
            row.and([row('state', '=', 'receiving'), row('touched_at', '<', touchedBefore)]),
            row('finished_at', '<', endedBefore),
          ]),
        )
        .execute();
    },
  };
}

const totalsAtOnce = 50;

type Rows = ReturnType<typeof allRows>;
const allRows = (queries: Queries) => queries.selectFrom('batches').selectAll();

async function read(queries: Queries, narrow: (rows: Rows) => Rows): Promise<Batch[]> {
  const rows = await narrow(allRows(queries)).execute();
  const open = rows.filter(({ totals }) => totals === null).map(({ id }) => id);
  const chunks = Map.groupBy(await chunksOf(queries, open), (chunk) => chunk.batch_id);
  return rows.map((row) => {
    const { labelled, rejected, modelVersions, errors } =
      (row.totals as Totals | null) ?? sumChunks(chunks.get(row.id) ?? []);
    return {
      id: row.id,
      state: row.state as BatchState,
      reason: row.reason,
      rows: { total: row.row_count, labelled, rejected, duplicates: row.duplicate_count },
      modelVersions,
      errors,
      decision: (row.report as BatchReport | null)?.decision ?? null,
      createdAt: row.created_at,
      startedAt: row.started_at,
      finishedAt: row.finished_at,
    };
  });
}

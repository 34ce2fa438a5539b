import { type Expression, type SqlBool, sql } from 'kysely';
import type { Queries } from '../database/database.ts';
import { type StoredLabel, toStoredLabel } from './label-store.ts';
import type { FreshnessRule } from './label-view.ts';

export interface LabelFilter {
  customerIds?: string[] | undefined;
  label?: string | undefined;
  version?: string | undefined;
  /** Labelled at this time or later. */
  since?: Date | undefined;
  /** Labels that are stale by this rule, or those that are not. */
  stale?: (FreshnessRule & { is: boolean }) | undefined;
}

export type LabelSort = 'customerId' | 'labelledAt' | '-labelledAt';

export interface LabelQueryStore {
  /** A customer's labels, newest first by when their features were received, from after `after`. */
  history(
    customerId: string,
    page: { limit: number; after?: { receivedAt: Date; id: string } },
  ): Promise<StoredLabel[]>;
  /** Current labels of many customers, from after the row `after`. */
  list(
    filter: LabelFilter,
    page: { sort: LabelSort; limit: number; after?: { labelledAt: Date; customerId: string } },
  ): Promise<StoredLabel[]>;
}

export function createLabelQueryStore(queries: Queries): LabelQueryStore {
  return {
    async history(customerId, { limit, after }) {
      const from = (table: 'current_labels' | 'label_history') =>
        queries
          .selectFrom(table)
          .selectAll()
          .where('customer_id', '=', customerId)
          .$if(after !== undefined, (query) =>
            query.where(sql<SqlBool>`(received_at, id) < (${after?.receivedAt}::timestamptz, ${after?.id}::bigint)`),
          );
      const rows = await from('current_labels')
        .unionAll(from('label_history'))
        .orderBy('received_at', 'desc')
        .orderBy('id', 'desc')
        .limit(limit)
        .execute();
      return rows.map(toStoredLabel);
    },

    async list(filter, { sort, limit, after }) {
      const byTime = sort !== 'customerId';
      const direction = sort === '-labelledAt' ? 'desc' : 'asc';
      let query = queries
        .selectFrom('current_labels')
        .selectAll()
        .where((eb) => eb.and(conditions(filter)));
      if (byTime) query = query.orderBy('labelled_at', direction);
      query = query.orderBy('customer_id', direction).limit(limit);
      if (after) {
        const beyond = sql.raw(direction === 'desc' ? '<' : '>');
        query = query.where(
          byTime
            ? sql<SqlBool>`(labelled_at, customer_id) ${beyond} (${after.labelledAt}::timestamptz, ${after.customerId})`
            : sql<SqlBool>`customer_id > ${after.customerId}`,
        );
      }
      return (await query.execute()).map(toStoredLabel);
    },
  };
}

function conditions({ customerIds, label, version, since, stale }: LabelFilter): Expression<SqlBool>[] {
  const found: Expression<SqlBool>[] = [];
  if (customerIds) found.push(sql<SqlBool>`customer_id = ANY(${customerIds}::text[])`);
  if (label !== undefined) found.push(sql<SqlBool>`label = ${label}`);
  if (version !== undefined) found.push(sql<SqlBool>`model_version = ${version}`);
  if (since) found.push(sql<SqlBool>`labelled_at >= ${since}::timestamptz`);
  if (stale) found.push(stale.is ? isStale(stale) : sql<SqlBool>`NOT (${isStale(stale)})`);
  return found;
}

function isStale({ liveVersion, confirmedSince }: FreshnessRule): Expression<SqlBool> {
  const superseded = sql<SqlBool>`model_version IS DISTINCT FROM ${liveVersion}::text`;
  const tooOld = sql<SqlBool>`confirmed_at < ${confirmedSince}::timestamptz`;
  const reasons = [...(liveVersion === null ? [] : [superseded]), ...(confirmedSince === null ? [] : [tooOld])];
  return reasons.length === 0 ? sql<SqlBool>`false` : sql<SqlBool>`(${sql.join(reasons, sql` OR `)})`;
}

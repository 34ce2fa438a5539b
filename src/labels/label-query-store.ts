import { type Expression, type SelectQueryBuilder, type SqlBool, sql } from 'kysely';
import type { Queries } from '../database/database.ts';
import type { LabelRow, Schema } from '../database/schema.ts';
import { toStoredLabel } from './label-store.ts';
import type { StoredLabel } from './labelling.ts';
import type { FreshnessRule } from './label-view.ts';

export interface LabelFilter {
  customerIds?: string[] | undefined;
  label?: string | undefined;
  version?: string | undefined;
  source?: StoredLabel['source'];
  /** Labelled at this time or later. */
  since?: Date | undefined;
  /** Labels that are stale by this rule, or those that are not. */
  stale?: (FreshnessRule & { is: boolean }) | undefined;
}

export const labelSorts = ['customerId', 'labelledAt', '-labelledAt', 'probability', '-probability'] as const;

export interface LabelPage {
  /** `-` is descending; among equals by customer id, the same way. Without a probability a label is last either way. */
  sort: (typeof labelSorts)[number];
  limit: number;
  /** The last row of the page before. */
  after?: Pick<StoredLabel, 'customerId' | 'labelledAt' | 'probability'>;
}

export interface LabelQueryStore {
  /** A customer's labels, newest first by when their features were received, from after `after`. */
  history(
    customerId: string,
    page: { limit: number; after?: { receivedAt: Date; id: string } },
  ): Promise<StoredLabel[]>;
  /** Current labels of many customers, from after the row `after`. */
  list(filter: LabelFilter, page: LabelPage): Promise<StoredLabel[]>;
  /** Ids of customers whose label is stale, in their order, from after `after`: no row is read but for its id. */
  staleIds(rule: FreshnessRule, page: { limit: number; after: string | undefined }): Promise<PackedIds>;
}

/** Customers' ids as they come out of the database: an array as JSON, which need not be read here. */
export interface PackedIds {
  json: string;
  count: number;
  last: string | null;
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

    async list(filter, page) {
      const matching = () =>
        queries
          .selectFrom('current_labels')
          .selectAll()
          .where((eb) => eb.and(conditions(filter)));
      const isByProbability = page.sort === 'probability' || page.sort === '-probability';
      const rows = await (
        isByProbability ? byProbability(queries, matching, page) : sorted(matching(), page)
      ).execute();
      return rows.map(toStoredLabel);
    },

    async staleIds(rule, { limit, after }) {
      const { rows } = await sql<PackedIds>`
        SELECT coalesce(json_agg(customer_id ORDER BY customer_id), '[]')::text AS json, count(*)::int AS count,
          max(customer_id) AS last
        FROM (
          SELECT customer_id FROM current_labels
          WHERE ${isStale(rule)} AND ${after === undefined ? sql`true` : sql`customer_id > ${after}`}
          ORDER BY customer_id LIMIT ${limit}::int
        ) AS page`.execute(queries);
      return rows[0] as PackedIds;
    },
  };
}

type LabelQuery = SelectQueryBuilder<Schema, 'current_labels', LabelRow>;

function sorted(matching: LabelQuery, { sort, limit, after }: LabelPage) {
  const byTime = sort !== 'customerId';
  const { direction, beyond } = directionOf(sort);
  const query = byTime ? matching.orderBy('labelled_at', direction) : matching;
  return query
    .orderBy('customer_id', direction)
    .limit(limit)
    .$if(after !== undefined, (rest) =>
      rest.where(
        byTime
          ? sql<SqlBool>`(labelled_at, customer_id) ${beyond} (${after?.labelledAt}::timestamptz, ${after?.customerId})`
          : sql<SqlBool>`customer_id > ${after?.customerId}`,
      ),
    );
}

/**
 * One index read in either direction would put the labels without a probability first in one of them, so the two parts
 * are read by themselves, each from its place in the index (docs/decisions/0014).
 */
function byProbability(queries: Queries, matching: () => LabelQuery, { sort, limit, after }: LabelPage) {
  const { direction, beyond } = directionOf(sort);
  const part = (condition: Expression<SqlBool>) => {
    const rows = matching().where(condition).orderBy('probability', direction).orderBy('customer_id', direction);
    return queries.selectFrom(rows.limit(limit).as('part')).selectAll();
  };
  const isInLastPart = after?.probability === null;
  const without = part(
    isInLastPart
      ? sql<SqlBool>`probability IS NULL AND customer_id ${beyond} ${after.customerId}`
      : sql<SqlBool>`probability IS NULL`,
  );
  const known = part(
    after
      ? sql<SqlBool>`(probability, customer_id) ${beyond} (${after.probability}::float8, ${after.customerId})`
      : sql<SqlBool>`probability IS NOT NULL`,
  );
  return (isInLastPart ? without : known.unionAll(without))
    .orderBy('probability', (order) => order[direction]().nullsLast())
    .orderBy('customer_id', direction)
    .limit(limit);
}

function directionOf(sort: LabelPage['sort']) {
  return sort.startsWith('-')
    ? ({ direction: 'desc', beyond: sql.raw('<') } as const)
    : ({ direction: 'asc', beyond: sql.raw('>') } as const);
}

function conditions({ customerIds, label, version, source, since, stale }: LabelFilter): Expression<SqlBool>[] {
  const found: Expression<SqlBool>[] = [];
  if (customerIds) found.push(sql<SqlBool>`customer_id = ANY(${customerIds}::text[])`);
  if (label !== undefined) found.push(sql<SqlBool>`label = ${label}`);
  if (version !== undefined) found.push(sql<SqlBool>`model_version = ${version}`);
  if (source !== undefined) found.push(sql<SqlBool>`source = ${source}`);
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

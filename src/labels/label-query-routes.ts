import * as z from 'zod';
import type { Contract } from '../contract/contract.ts';
import { perContract } from '../contract/per-contract.ts';
import { answer, plainTextPattern, problems } from '../http/operation.ts';
import { contextOf } from '../http/request-context.ts';
import { readCursor, writeCursor } from '../http/page-cursor.ts';
import { parseQuery } from '../http/parse-query.ts';
import type { Route } from '../http/route.ts';
import type { Locale } from '../locale.ts';
import type { ContractStore, StoredContract } from './contract-store.ts';
import { isPlainText } from '../plain-text.ts';
import { isCustomerId } from './given-customer.ts';
import { type LabelPage, labelSorts, type LabelQueryStore } from './label-query-store.ts';
import { customerIdOf } from './label-routes.ts';
import { customerIdSchema, historyPageSchema, labelPageSchema } from './label-schemas.ts';
import type { StoredLabel } from './labelling.ts';
import { describeLabel, type FreshnessRule } from './label-view.ts';
import { changeSince } from './label-change.ts';

interface LabelQueryRoutesOptions {
  contract(): Contract;
  labels: LabelQueryStore;
  contracts: Pick<ContractStore, 'byId'>;
  freshness(): FreshnessRule;
}

const maxIds = 500;
const limit = z
  .string()
  .regex(/^\d{1,4}$/)
  .transform(Number)
  .pipe(z.int().min(1).max(500))
  .default(100)
  .meta({
    override: ({ jsonSchema }) => {
      delete jsonSchema.pattern;
      Object.assign(jsonSchema, { type: 'integer', minimum: 1, maximum: 500 });
    },
  });
const from1970 = /^(19[7-9]\d|[2-9]\d{3})/;
const instant = z.iso.datetime({ offset: true }).refine((text) => from1970.test(text));
/** The query of a page; `format` names what its cursors hold, for those who make requests from the document. */
const pageQuery = (format: string) =>
  z.strictObject({
    limit,
    cursor: z.string().max(1_000).optional().meta({ description: '`next` of the page before.', override: { format } }),
  });
const historyQuery = pageQuery('history-cursor');
const commaList = { style: 'form', explode: false } as const;
const commaListOf = (maxItems: number) => ({
  type: 'array' as const,
  items: { type: 'string' as const, minLength: 1, maxLength: 128, pattern: plainTextPattern.replace('[^', '[^,') },
  minItems: 1,
  maxItems,
});

/** Many labels: a customer's history, and the current labels for the ERP's lists. */
export function createLabelQueryRoutes({ contract, labels, contracts, freshness }: LabelQueryRoutesOptions): Route[] {
  const anyListQuery = pageQuery('list-cursor').extend({
    customerIds: z
      .string()
      .transform((text) => text.split(','))
      .pipe(z.array(z.string().refine(isCustomerId)).max(maxIds))
      .optional()
      .meta({ description: `Comma list of at most ${maxIds} ids.`, param: commaList, override: commaListOf(maxIds) }),
    version: z
      .string()
      .max(64)
      .refine(isPlainText)
      .optional()
      .meta({ override: { pattern: plainTextPattern } }),
    stale: z.enum(['true', 'false']).optional().meta({ description: 'Superseded or too old, or neither.' }),
    since: instant.optional().meta({
      description: 'Labelled at this time or later; from 1970 on.',
      override: { allOf: [{ pattern: from1970.source }] },
    }),
    sort: z.enum(labelSorts).default('customerId').meta({
      description: '`-` is descending. By probability, labels without one come last in both directions.',
    }),
  });
  const listQuery = perContract(({ labels: kinds }) =>
    anyListQuery.extend({ label: z.enum(kinds.flatMap(({ code, name }) => [String(code), name])).optional() }),
  );

  async function describe(label: StoredLabel, locale: Locale, rule: FreshnessRule) {
    return describeLabel(label, { contract: await contracts.byId(label.contractId), locale, freshness: rule });
  }

  /** What changed since the label before; null for the first one, and where nothing did. */
  async function changed(label: StoredLabel, before: StoredLabel | undefined) {
    if (before === undefined) return null;
    const [contract, earlier] = await Promise.all([label, before].map(({ contractId }) => contracts.byId(contractId)));
    return changeSince(
      { ...before, features: (earlier as StoredContract).features },
      { ...label, features: (contract as StoredContract).features },
    );
  }

  const history: Route = {
    method: 'get',
    path: '/v1/customers/:customerId/labels',
    operation: {
      operationId: 'getLabelHistory',
      summary: "A customer's labels, newest first",
      requestParams: { path: z.object({ customerId: customerIdSchema }), query: historyQuery },
      responses: { 200: answer('A page of labels.', historyPageSchema), ...problems(422, 503) },
    },
    async handle(request, response) {
      const query = parseQuery(historyQuery, request.query);
      const after = readCursor(query.cursor, historyCursor);
      const { locale } = contextOf(response);
      const found = await labels.history(customerIdOf(request.params['customerId']), {
        // One more: it says whether there is another page, and what changed since it
        limit: query.limit + 1,
        ...(after && { after: { receivedAt: new Date(after.receivedAt), id: after.id } }),
      });
      const page = found.slice(0, query.limit);
      const last = found.length > query.limit ? page.at(-1) : undefined;
      const next = last ? writeCursor({ receivedAt: last.receivedAt.toISOString(), id: last.id }) : null;
      const rule = freshness();
      const entries = page.map(async (label, i) => ({
        ...(await describe(label, locale, rule)),
        changed: await changed(label, found[i + 1]),
      }));
      response.json({ labels: await Promise.all(entries), next });
    },
  };

  const list: Route = {
    method: 'get',
    path: '/v1/labels',
    get operation() {
      return {
        operationId: 'listLabels',
        summary: 'Current labels of many customers',
        requestParams: { query: listQuery(contract()) },
        responses: { 200: answer('A page of labels.', labelPageSchema), ...problems(422, 503) },
      };
    },
    async handle(request, response) {
      const expected = contract();
      const { stale, since, label, ...query } = parseQuery(listQuery(expected), request.query);
      const after = readCursor(query.cursor, listCursors[query.sort]);
      const rule = freshness();
      const found = await labels.list(
        {
          customerIds: query.customerIds,
          version: query.version,
          label: label && String(expected.labels.find(({ name }) => name === label)?.code ?? label),
          since: since === undefined ? undefined : new Date(since),
          stale: stale === undefined ? undefined : { ...rule, is: stale === 'true' },
        },
        {
          sort: query.sort,
          limit: query.limit,
          ...(after && { after: { ...after, labelledAt: new Date(after.labelledAt) } }),
        },
      );
      const last = found.length === query.limit ? found.at(-1) : undefined;
      const next = last
        ? writeCursor({
            sort: query.sort,
            customerId: last.customerId,
            labelledAt: last.labelledAt.toISOString(),
            probability: last.probability,
          })
        : null;
      const { locale } = contextOf(response);
      response.json({ labels: await Promise.all(found.map((one) => describe(one, locale, rule))), next });
    },
  };

  return [history, list];
}

const historyCursor = z.strictObject({ receivedAt: instant, id: z.string().regex(/^\d{1,18}$/) });
/** A place in one order means nothing in another. */
const listCursor = (sort: LabelPage['sort']) =>
  z.strictObject({
    sort: z.literal(sort),
    customerId: z.string().refine(isCustomerId),
    labelledAt: instant,
    probability: z.number().nullable(),
  });
const listCursors = Object.fromEntries(labelSorts.map((sort) => [sort, listCursor(sort)])) as Record<
  LabelPage['sort'],
  ReturnType<typeof listCursor>
>;

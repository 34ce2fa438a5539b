import * as z from 'zod';
import type { Contract } from '../contract/contract.ts';
import { perContract } from '../contract/per-contract.ts';
import { describeFault, ServiceError } from '../errors.ts';
import { answer, body, problems } from '../http/operation.ts';
import { contextOf } from '../http/request-context.ts';
import type { Route } from '../http/route.ts';
import type { ContractStore } from './contract-store.ts';
import type { FindLabel } from './find-label.ts';
import { isCustomerId, parseCustomerList } from './given-customer.ts';
import type { LabelCustomers, Verdict } from './label-customers.ts';
import { buildRequestSchemas, customerIdSchema, labelSchema, maxCustomers } from './label-schemas.ts';
import { describeLabel, type FreshnessRule } from './label-view.ts';

interface LabelRoutesOptions {
  contract(): Contract;
  labelCustomers: LabelCustomers;
  findLabel: FindLabel;
  contracts: Pick<ContractStore, 'byId'>;
  freshness(): FreshnessRule;
}

const oneBodyBytes = 64 * 1024;
const manyBodyBytes = 2 * 1024 * 1024;

/** Labelling one customer or many, and the label that a customer has now. */
export function createLabelRoutes({
  contract,
  labelCustomers,
  findLabel,
  contracts,
  freshness,
}: LabelRoutesOptions): Route[] {
  const schemasOf = perContract(buildRequestSchemas);
  const requestParams = { path: z.object({ customerId: customerIdSchema }) };

  const labelOne: Route = {
    method: 'post',
    path: '/v1/customers/:customerId/label',
    jsonBodyLimitBytes: oneBodyBytes,
    get operation() {
      return {
        operationId: 'labelCustomer',
        summary: 'Label one customer, and keep the label',
        requestParams,
        requestBody: body(schemasOf(contract()).one),
        responses: { 200: answer('The label.', labelSchema), ...problems(400, 413, 415, 422, 502, 503, 504) },
      };
    },
    async handle(request, response) {
      const { locale, ...arrival } = contextOf(response);
      const customerId = customerIdOf(request.params['customerId']);
      const label = await labelCustomers.one(customerId, request.body, arrival);
      response.json(describeLabel(label, { contract: label.contract, locale, freshness: freshness() }));
    },
  };

  const currentLabel: Route = {
    method: 'get',
    path: '/v1/customers/:customerId/label',
    operation: {
      operationId: 'getLabel',
      summary: "A customer's label now",
      requestParams,
      responses: { 200: answer('The label.', labelSchema), ...problems(404, 422, 503) },
    },
    async handle(request, response) {
      const { locale, left } = contextOf(response);
      const label = await findLabel(customerIdOf(request.params['customerId']), left);
      if (!label) throw new ServiceError('label_not_found');
      const madeBy = await contracts.byId(label.contractId);
      response.json(describeLabel(label, { contract: madeBy, locale, freshness: freshness() }));
    },
  };

  const labelMany: Route = {
    method: 'post',
    path: '/v1/labels',
    jsonBodyLimitBytes: manyBodyBytes,
    get operation() {
      const schemas = schemasOf(contract());
      return {
        operationId: 'labelCustomers',
        summary: `Label up to ${maxCustomers} customers; one bad row never costs the others`,
        requestBody: body(schemas.many),
        responses: {
          200: answer('A label or an error for each customer, in order.', schemas.verdicts),
          ...problems(400, 413, 415, 422, 502, 503, 504),
        },
      };
    },
    async handle(request, response) {
      const { locale, ...arrival } = contextOf(response);
      const customers = parseCustomerList(request.body, maxCustomers);
      const verdicts = await labelCustomers.many(customers, arrival);
      const view = { locale, freshness: freshness() };
      const labelled = verdicts.filter((verdict) => 'label' in verdict).length;
      response.json({
        labels: verdicts.map((verdict) => describeVerdict(verdict, view)),
        labelled,
        rejected: verdicts.length - labelled,
      });
    },
  };

  return [labelOne, currentLabel, labelMany];
}

/** @throws ServiceError invalid_request */
export function customerIdOf(parameter: unknown): string {
  if (isCustomerId(parameter)) return parameter;
  throw new ServiceError('invalid_request', { faults: [{ pointer: '#/customerId', code: 'invalid_customer_id' }] });
}

function describeVerdict(verdict: Verdict, view: Omit<Parameters<typeof describeLabel>[1], 'contract'>) {
  if ('label' in verdict) return describeLabel(verdict.label, { ...view, contract: verdict.label.contract });
  const { code, faults } = verdict.error;
  const errors = faults.map((fault) => describeFault(fault, view.locale));
  return { customerId: verdict.customerId, error: { code, ...(errors.length > 0 && { errors }) } };
}

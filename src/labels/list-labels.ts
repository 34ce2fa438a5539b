import type { Contract } from '../contract/contract.ts';
import type { ContractStore } from './contract-store.ts';
import type { LabelQueryStore, PackedIds } from './label-query-store.ts';
import type { LabelStore } from './label-store.ts';
import type { FreshnessRule } from './label-view.ts';
import type { Claim } from './labelling.ts';

/** What lists need of the customers' labels. */
export interface ListLabels {
  /** Stores labels, as list-write makes them, if the claim gives a row, in one statement. @returns whether it did. */
  keepIf(parameters: readonly unknown[], claim: Claim): Promise<boolean>;
  /** Under which ids stored labels name these contracts. */
  contractIds(contracts: readonly Contract[]): Promise<number[]>;
  /** Customers whose label is stale, in their order, from after `after`. */
  staleIds(page: { limit: number; after: string | undefined }): Promise<PackedIds>;
  /** The stored features of those of these customers that have a label. @param idsJson an array as JSON */
  storedFeatures(idsJson: string): Promise<StoredFeatures>;
}

/** To be read in another thread. */
export interface StoredFeatures {
  /** An array of StoredInputs. */
  json: string;
  /** By contract id, what the inputs are of. */
  features: Map<number, Contract['features']>;
}

interface ListLabelsOptions {
  labels: Pick<LabelStore, 'writeIf' | 'currentInputs'>;
  labelQueries: Pick<LabelQueryStore, 'staleIds'>;
  contracts: ContractStore;
  freshness(): FreshnessRule;
}

export function createListLabels({ labels, labelQueries, contracts, freshness }: ListLabelsOptions): ListLabels {
  return {
    keepIf: (parameters, claim) => labels.writeIf(parameters, claim),
    contractIds: (versions) => Promise.all(versions.map((contract) => contracts.idOf(contract))),
    staleIds: (page) => labelQueries.staleIds(freshness(), page),

    async storedFeatures(idsJson) {
      const { json, contractIds } = await labels.currentInputs(idsJson);
      const known = contractIds.map(async (id) => [id, (await contracts.byId(id)).features] as const);
      return { json, features: new Map(await Promise.all(known)) };
    },
  };
}

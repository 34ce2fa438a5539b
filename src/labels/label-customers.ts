import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Contract, LabelCode } from '../contract/contract.ts';
import type { FeatureVector } from '../contract/feature-vector.ts';
import { restandardize } from '../contract/scaling.ts';
import { type InputFault, ServiceError, toServiceError } from '../errors.ts';
import { createMicroBatcher, type MicroBatcher } from '../model-server/micro-batcher.ts';
import type { ModelGuard } from '../model-guard/model-guard.ts';
import type { ContractStore } from './contract-store.ts';
import { parseCustomer, parseFeaturesBody } from './given-customer.ts';
import { createLabelInOutage, reserveMs } from './label-in-outage.ts';
import type { LabelStore } from './label-store.ts';
import type { KeptLabelling, Labelling, StoredLabel } from './labelling.ts';
import {
  attempt,
  createReading,
  createScoring,
  type Reading,
  type Score,
  type ScoringOptions,
} from './score-customers.ts';

/** A label just made and stored. Faults are warnings: features outside what the model saw in training. */
export type NewLabel = Omit<StoredLabel, 'id'> & { contract: Contract; warnings: InputFault[] };

export type Verdict = { label: NewLabel } | { customerId: unknown; error: ServiceError };

interface Arrival {
  /** When the request with the features arrived. */
  receivedAt: Date;
  /** Aborted when the caller leaves. */
  left: AbortSignal;
}

export interface LabelCustomers {
  /** Labels and stores one customer. @param body `{ features, scale? }`, unchecked. @throws ServiceError */
  one(customerId: string, body: unknown, arrival: Arrival): Promise<NewLabel>;
  /**
   * Labels and stores each customer that can be, and says of each other one why not, in order.
   * @param customers `{ id, features, scale? }` each, unchecked.
   * @throws ServiceError when it is nobody's fault in particular: nothing could be labelled at all.
   */
  many(customers: readonly unknown[], arrival: Arrival): Promise<Verdict[]>;
  /** Labels of standardised vectors that belong to no customer; nothing is stored. */
  vectors(vectors: readonly (readonly number[])[], left: AbortSignal): Promise<LabelCode[]>;
  /**
   * Labels customers once more from their stored inputs, by the model server alone.
   * @returns how many were; inputs that the version which answers now does not take keep their label.
   * @throws ServiceError as many() does.
   */
  again(labels: readonly StoredLabel[], left: AbortSignal): Promise<number>;
  /** Whether anybody asked within so many ms. */
  wasAskedWithin(ms: number): boolean;
  /** Rows that wait for the model server and for the database. */
  waiting(): number;
  close(): Promise<void>;
}

interface LabelCustomersOptions extends ScoringOptions {
  labels: Pick<LabelStore, 'write'>;
  contracts: ContractStore;
  guard: Pick<ModelGuard, 'expected' | 'lastProved' | 'score' | 'prove'>;
  /** Whether the copy of the version proved last labels while the model server is away. */
  hasFallback: boolean;
  /** It labelled a customer. */
  onFallback(): void;
  onLabelled(label: Labelling): void;
}

/** Checked before others get their turn of the event loop. */
const rowsPerTurn = 100;
const maxRowsPerWrite = 2_000;

/** Features in, a proved and stored label out. Customers of different callers share calls and writes. */
export function createLabelCustomers(options: LabelCustomersOptions): LabelCustomers {
  const { guard, copies, hasFallback } = options;
  const { timeoutMs } = options.limits;
  const limits = { ...options.limits, timeoutMs: hasFallback ? timeoutMs - reserveMs(timeoutMs) : timeoutMs };
  const scoring = createScoring({ ...options, limits });
  const answering = hasFallback
    ? createLabelInOutage({ scoring, guard, copies, onFallback: options.onFallback })
    : scoring;
  const storing: MicroBatcher<Labelling, KeptLabelling> = createMicroBatcher({
    process: async (labellings) => (await options.labels.write(labellings)).map((answer) => ({ answer })),
    maxRows: maxRowsPerWrite,
    maxInFlight: 1,
    maxQueued: Infinity,
    timeoutMs,
  });

  let lastAskedAt = -Infinity;

  async function store(customerId: string, score: Score, receivedAt: Date): Promise<NewLabel> {
    const { contract, vector } = score;
    const labelling: Labelling = {
      customerId,
      inputs: vector.given,
      scale: vector.scale,
      contractId: await options.contracts.idOf(contract),
      label: String(score.code),
      modelName: contract.model.name,
      modelVersion: contract.model.version,
      source: score.source,
      probability: score.probability,
      receivedAt,
      labelledAt: score.labelledAt,
    };
    const [stored] = storing.submit([labelling]);
    const kept = await (stored as Promise<KeptLabelling>);
    options.onLabelled(labelling);
    return { ...labelling, ...kept, contract, warnings: vector.warnings };
  }

  return {
    async one(id, body, { receivedAt, left }) {
      lastAskedAt = performance.now();
      const [score] = answering.submit([createReading(guard, (parse) => parseFeaturesBody(body, parse))], left);
      return store(id, await (score as Promise<Score>), receivedAt);
    },

    async many(customers, { receivedAt, left }) {
      lastAskedAt = performance.now();
      const accepted: ReturnType<typeof attempt<Reading>>[] = [];
      for (const [i, one] of customers.entries()) {
        if (i % rowsPerTurn === rowsPerTurn - 1) await nextTurn();
        accepted.push(attempt(() => createReading(guard, (parse) => parseCustomer(one, parse, `#/customers/${i}`))));
      }
      const readings = accepted.flatMap((one) => ('value' in one ? [one.value] : []));
      const scores = answering.submit(readings, left).values();
      const verdicts = await Promise.all(
        accepted.map(async (one, i): Promise<Verdict> => {
          const customerId = idOf(customers[i]);
          if ('error' in one) return { customerId, error: one.error };
          try {
            const score = await (scores.next().value as Promise<Score>);
            return { label: await store(customerId as string, score, receivedAt) };
          } catch (error) {
            return { customerId, error: pointingInto(`#/customers/${i}`, toServiceError(error)) };
          }
        }),
      );
      const fault = commonFault(verdicts);
      if (fault) throw fault;
      return verdicts;
    },

    async vectors(vectors, left) {
      lastAskedAt = performance.now();
      const readings = vectors.map((vector): Reading => {
        const read: FeatureVector = {
          given: [...vector],
          scale: 'standardized',
          standardized: [...vector],
          warnings: [],
        };
        return () => read;
      });
      const scores = await Promise.all(answering.submit(readings, left));
      return scores.map((score) => score.code);
    },

    async again(labels, left) {
      const given = await Promise.all(
        labels.map(async ({ inputs, scale, contractId }) => {
          const { features } = await options.contracts.byId(contractId);
          const values = scale === 'standardized' ? restandardize(features, guard.expected().features, inputs) : inputs;
          return { features: Object.fromEntries(features.map(({ name }, i) => [name, values[i]])), scale };
        }),
      );
      const accepted = given.flatMap((body, i) => {
        const reading = attempt(() => createReading(guard, (parse) => parseFeaturesBody(body, parse)));
        return 'value' in reading ? [{ label: labels[i] as StoredLabel, reading: reading.value }] : [];
      });
      const scores = scoring.submit(
        accepted.map(({ reading }) => reading),
        left,
      );
      await Promise.all(
        accepted.map(async ({ label }, i) =>
          store(label.customerId, await (scores[i] as Promise<Score>), label.receivedAt),
        ),
      );
      return accepted.length;
    },

    wasAskedWithin: (ms) => performance.now() - lastAskedAt < ms,
    waiting: () => scoring.waiting + storing.waiting,

    async close() {
      await scoring.close();
      await storing.close();
    },
  };
}

function idOf(customer: unknown): unknown {
  return typeof customer === 'object' && customer !== null && 'id' in customer ? customer.id : null;
}

/** A refusal by the model server points at `#/features`; in a list those are the features of one customer. */
function pointingInto(pointer: string, error: ServiceError): ServiceError {
  if (error.code !== 'invalid_features') return error;
  const faults = error.faults.map((fault) => ({ ...fault, pointer: fault.pointer.replace('#', pointer) }));
  return new ServiceError(error.code, { faults });
}

/** The fault of everybody, when nobody was labelled and it is the service's: then it is the answer of the whole. */
function commonFault(verdicts: Verdict[]): ServiceError | undefined {
  const faults = verdicts.map((verdict) => ('error' in verdict ? verdict.error : undefined));
  if (faults.includes(undefined)) return undefined;
  return faults.find((fault) => fault && fault.status >= 500);
}

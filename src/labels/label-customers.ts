import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Contract } from '../contract/contract.ts';
import type { FeatureVector, ParseFeatures } from '../contract/feature-vector.ts';
import { type InputFault, ServiceError, toServiceError } from '../errors.ts';
import type { ModelGuard } from '../model-guard/model-guard.ts';
import { createBisection } from '../model-server/bisect-refused.ts';
import { createMicroBatcher, type MicroBatcher } from '../model-server/micro-batcher.ts';
import type { OutageBreaker } from '../model-server/outage-breaker.ts';
import type { ContractStore } from './contract-store.ts';
import { parseCustomer, parseFeaturesBody } from './given-customer.ts';
import type { Labelling, LabelStore, StoredLabel } from './label-store.ts';

/** A label just made and stored. Faults are warnings: features outside what the model saw in training. */
export type NewLabel = Omit<StoredLabel, 'id'> & { warnings: InputFault[] };

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
  vectors(vectors: readonly (readonly number[])[], left: AbortSignal): Promise<Labelling['label'][]>;
  /** Rows that wait for the model server and for the database. */
  waiting(): number;
  close(): Promise<void>;
}

interface LabelCustomersOptions {
  contract: Contract;
  parse: ParseFeatures;
  guard: Pick<ModelGuard, 'score' | 'prove'>;
  breaker: Pick<OutageBreaker, 'call' | 'refusal' | 'onOutage'>;
  labels: Pick<LabelStore, 'write'>;
  contracts: Pick<ContractStore, 'idOf'>;
  source: Labelling['source'];
  limits: { concurrency: number; maxRows: number; maxQueuedRows: number; timeoutMs: number };
  onBatch(batch: { rows: number; durationMs: number }): void;
  /** Customers refused at once because of an outage. */
  onRefused(customers: number): void;
  /** Rows that were refused because of an outage. */
  onRefused(rows: number): void;
  onLabelled(label: Labelling): void;
}

interface Score {
  label: string;
  probability: number | null;
  version: string | null;
  labelledAt: Date;
}

/**
 * A call of one row takes a model server about as long as one of a few hundred, so fewer wait for the call in flight:
 * 64 callers get a sixth more with it, 16 a quarter (measured). The time is for what waits behind a long call.
 */
const secondCall = { rows: 256, afterMs: 20 };
/**
 * MLflow goes on computing what nobody waits for any more, so after a timeout the call's place stays taken: as long again
 * as the call was given, and at most this, so that a server that is back is used within 2 s.
 */
const heldAfterDeadlineMostMs = 1_500;
/** Checked before others get their turn of the event loop. */
const rowsPerTurn = 100;
const maxRowsPerWrite = 2_000;

/** Features in, a proved and stored label out. Customers of different callers share calls and writes. */
export function createLabelCustomers(options: LabelCustomersOptions): LabelCustomers {
  const { contract, limits } = options;
  const scoring = createScoring(options);
  const storing: MicroBatcher<Labelling, { labelledAt: Date; confirmedAt: Date }> = createMicroBatcher({
    process: async (labellings) => (await options.labels.write(labellings)).map((answer) => ({ answer })),
    maxRows: maxRowsPerWrite,
    maxInFlight: 1,
    maxQueued: Infinity,
    timeoutMs: limits.timeoutMs,
  });

  async function store(customerId: string, vector: FeatureVector, score: Score, receivedAt: Date): Promise<NewLabel> {
    const labelling: Labelling = {
      customerId,
      inputs: vector.given,
      scale: vector.scale,
      contractId: await options.contracts.idOf(contract),
      label: score.label,
      modelName: contract.model.name,
      modelVersion: score.version,
      source: options.source,
      probability: score.probability,
      receivedAt,
      labelledAt: score.labelledAt,
    };
    const [stored] = storing.submit([labelling]);
    const times = await (stored as Promise<{ labelledAt: Date; confirmedAt: Date }>);
    options.onLabelled(labelling);
    return { ...labelling, ...times, warnings: vector.warnings };
  }

  return {
    async one(id, body, { receivedAt, left }) {
      const vector = parseFeaturesBody(body, options.parse);
      const [score] = scoring.submit([vector.standardized], left);
      return store(id, vector, await (score as Promise<Score>), receivedAt);
    },

    async many(customers, { receivedAt, left }) {
      const accepted: ReturnType<typeof attempt<ReturnType<typeof parseCustomer>>>[] = [];
      for (const [i, one] of customers.entries()) {
        if (i % rowsPerTurn === rowsPerTurn - 1) await nextTurn();
        accepted.push(attempt(() => parseCustomer(one, options.parse, `#/customers/${i}`)));
      }
      const vectors = accepted.flatMap((one) => ('value' in one ? [one.value.vector.standardized] : []));
      const scores = scoring.submit(vectors, left).values();
      const verdicts = await Promise.all(
        accepted.map(async (one, i): Promise<Verdict> => {
          const customerId = idOf(customers[i]);
          if ('error' in one) return { customerId, error: one.error };
          try {
            const score = await (scores.next().value as Promise<Score>);
            return { label: await store(one.value.id, one.value.vector, score, receivedAt) };
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
      const scores = await Promise.all(scoring.submit(vectors, left));
      return scores.map((score) => score.label);
    },

    waiting: () => scoring.waiting + storing.waiting,

    async close() {
      await scoring.close();
      await storing.close();
    },
  };
}

function createScoring(options: LabelCustomersOptions): MicroBatcher<readonly number[], Score> {
  const { guard, breaker, limits, onBatch, onRefused } = options;
  const bisect = createBisection<readonly number[], Score>({
    async score(vectors, until) {
      const startedAt = performance.now();
      const { labels, probabilities, version } = await breaker.call(() => guard.score(vectors, until));
      onBatch({ rows: vectors.length, durationMs: performance.now() - startedAt });
      const labelledAt = new Date();
      return labels.map((label, i) => ({
        label: String(label),
        probability: probabilities?.[i] ?? null,
        version,
        labelledAt,
      }));
    },
    control: () => guard.prove(),
  });
  const batcher = createMicroBatcher({
    process: bisect,
    // Whoever can label without the model server answers here, and at onOutage, in the refusal's place.
    refusal(rows) {
      const refusal = breaker.refusal();
      if (refusal) onRefused(rows);
      return refusal;
    },
    maxRows: limits.maxRows,
    maxInFlight: limits.concurrency,
    beside: secondCall,
    maxQueued: limits.maxQueuedRows,
    timeoutMs: limits.timeoutMs,
    heldAfterDeadlineMs: Math.min(limits.timeoutMs, heldAfterDeadlineMostMs),
  });
  breaker.onOutage((refusal) => {
    onRefused(batcher.waiting);
    batcher.refuseWaiting(refusal);
  });
  return batcher;
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

function attempt<T>(work: () => T): { value: T } | { error: ServiceError } {
  try {
    return { value: work() };
  } catch (error) {
    return { error: toServiceError(error) };
  }
}

/** The fault of everybody, when nobody was labelled and it is the service's: then it is the answer of the whole. */
function commonFault(verdicts: Verdict[]): ServiceError | undefined {
  const faults = verdicts.map((verdict) => ('error' in verdict ? verdict.error : undefined));
  if (faults.includes(undefined)) return undefined;
  return faults.find((fault) => fault && fault.status >= 500);
}

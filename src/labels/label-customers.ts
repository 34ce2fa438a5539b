import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Contract, GoldenRow, LabelCode } from '../contract/contract.ts';
import { createFeatureParser, type FeatureVector, type ParseFeatures } from '../contract/feature-vector.ts';
import { goldenVector } from '../contract/scaling.ts';
import { type InputFault, ServiceError, toServiceError } from '../errors.ts';
import type { ModelGuard } from '../model-guard/model-guard.ts';
import { createBisection } from '../model-server/bisect-refused.ts';
import { createMicroBatcher, type MicroBatcher } from '../model-server/micro-batcher.ts';
import type { OutageBreaker } from '../model-server/outage-breaker.ts';
import type { ContractStore } from './contract-store.ts';
import { parseCustomer, parseFeaturesBody } from './given-customer.ts';
import type { Labelling, LabelStore, StoredLabel } from './label-store.ts';

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
  /** Rows that wait for the model server and for the database. */
  waiting(): number;
  close(): Promise<void>;
}

interface LabelCustomersOptions {
  guard: Pick<ModelGuard, 'expected' | 'score' | 'prove'>;
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

/** A customer's features, read as each version of the model takes them. @throws ServiceError invalid_features */
type Reading = (contract: Contract) => FeatureVector;

interface Score {
  code: LabelCode;
  probability: number | null;
  /** Of the version that answered, and what it was given. */
  contract: Contract;
  vector: FeatureVector;
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
  const { guard, limits } = options;
  const scoring = createScoring(options);
  const storing: MicroBatcher<Labelling, { labelledAt: Date; confirmedAt: Date }> = createMicroBatcher({
    process: async (labellings) => (await options.labels.write(labellings)).map((answer) => ({ answer })),
    maxRows: maxRowsPerWrite,
    maxInFlight: 1,
    maxQueued: Infinity,
    timeoutMs: limits.timeoutMs,
  });

  /** Reads features as the expected version takes them, so that what is wrong with them is known before any call. */
  function reader(read: (parse: ParseFeatures) => FeatureVector): Reading {
    const reading = remembered((contract) => read(parserOf(contract)));
    reading(guard.expected());
    return reading;
  }

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
      source: options.source,
      probability: score.probability,
      receivedAt,
      labelledAt: score.labelledAt,
    };
    const [stored] = storing.submit([labelling]);
    const times = await (stored as Promise<{ labelledAt: Date; confirmedAt: Date }>);
    options.onLabelled(labelling);
    return { ...labelling, ...times, contract, warnings: vector.warnings };
  }

  return {
    async one(id, body, { receivedAt, left }) {
      const [score] = scoring.submit([reader((parse) => parseFeaturesBody(body, parse))], left);
      return store(id, await (score as Promise<Score>), receivedAt);
    },

    async many(customers, { receivedAt, left }) {
      const accepted: ReturnType<typeof attempt<Reading>>[] = [];
      for (const [i, one] of customers.entries()) {
        if (i % rowsPerTurn === rowsPerTurn - 1) await nextTurn();
        accepted.push(attempt(() => reader((parse) => parseCustomer(one, parse, `#/customers/${i}`))));
      }
      const readings = accepted.flatMap((one) => ('value' in one ? [one.value] : []));
      const scores = scoring.submit(readings, left).values();
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
      const readings = vectors.map((vector): Reading => {
        const read: FeatureVector = {
          given: [...vector],
          scale: 'standardized',
          standardized: [...vector],
          warnings: [],
        };
        return () => read;
      });
      const scores = await Promise.all(scoring.submit(readings, left));
      return scores.map((score) => score.code);
    },

    waiting: () => scoring.waiting + storing.waiting,

    async close() {
      await scoring.close();
      await storing.close();
    },
  };
}

function createScoring(options: LabelCustomersOptions): MicroBatcher<Reading, Score> {
  const { guard, breaker, limits, onBatch, onRefused } = options;
  const bisect = createBisection<Reading, Score>({
    async score(readings, until) {
      const startedAt = performance.now();
      const read = remembered((contract) => readings.map((reading) => attempt(() => reading(contract))));
      const vectorsFor = (version: Contract) =>
        read(version).map((one) => ('value' in one ? one.value.standardized : placeholder(version)));
      const { labels, probabilities, contract } = await breaker.call(() => guard.score(vectorsFor, until));
      onBatch({ rows: readings.length, durationMs: performance.now() - startedAt });
      const labelledAt = new Date();
      return read(contract).map((one, i) => {
        if ('error' in one) return one;
        const probability = probabilities?.[i] ?? null;
        return { answer: { code: labels[i] as LabelCode, probability, contract, vector: one.value, labelledAt } };
      });
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

/** Goes where a customer's features cannot be read as the version that answers takes them; its label is not used. */
function placeholder(contract: Contract): readonly number[] {
  return goldenVector(contract, contract.goldenRows[0] as GoldenRow);
}

const parsers = new WeakMap<Contract, ParseFeatures>();

function parserOf(contract: Contract): ParseFeatures {
  const known = parsers.get(contract) ?? createFeatureParser(contract);
  parsers.set(contract, known);
  return known;
}

/** What was found for the contract asked last is kept: mostly there is only one. */
function remembered<T>(find: (contract: Contract) => T): (contract: Contract) => T {
  let last: { contract: Contract; found: T } | undefined;
  return (contract) => {
    if (last?.contract !== contract) last = { contract, found: find(contract) };
    return last.found;
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

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ObservedRequest } from '../http/request-log.ts';
import type { GuardState, GuardStatus } from '../model-guard/model-guard.ts';
import type { RegistryState } from '../model-guard/registry-watch.ts';
import type { Outage } from '../model-server/outage-breaker.ts';

export interface Metrics {
  requestAnswered(request: ObservedRequest): void;
  labelled(label: { label: string; source: string; modelVersion: string | null }, customers?: number): void;
  /** Rows of lists that have their label, or were refused. */
  listRowsDone(rows: { labelled: number; rejected: number }): void;
  /** One call to the model server that was answered and proved. */
  batchScored(batch: { rows: number; durationMs: number }): void;
  /** A call to the model server that was made once more. */
  callRetried(): void;
  refusedInOutage(customers: number): void;
  /** Labels of the model server that the copy of its version gives otherwise. */
  copyDisagreed(labels: number): void;
  /** The page that Prometheus scrapes, and its content type. */
  page(): Promise<{ type: string; text: string }>;
}

interface MetricsOptions {
  version: string;
  waitingRows(): number;
  guardState(): GuardState;
  outage(): Outage | null;
  /** null: no registry is set. */
  registryState(): RegistryState | null;
  /** Lists that have not ended, by state; rejects while the database is away. */
  openLists(): Promise<Record<string, number>>;
}

// OpenTelemetry's buckets for http.server.request.duration, so that dashboards carry over
const durationBuckets = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
/** Of single customers, up to what one call takes, and of lists. */
const rowBuckets = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384];
const guardStatuses: readonly GuardStatus[] = ['proved', 'unproved', 'untrusted', 'unavailable', 'bad_answer'];
/** A scrape does not wait longer for the database. */
const openListsMs = 1_000;

/** Every metric of the service. No label ever holds a customer: each has few values, known beforehand. */
export function createMetrics(options: MetricsOptions): Metrics {
  const { version, waitingRows, guardState, outage, registryState, openLists } = options;
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  const requests = new Histogram({
    name: 'customer_labels_http_request_duration_seconds',
    help: 'Time from the head of a request to the end of its answer.',
    labelNames: ['method', 'route', 'status'],
    buckets: durationBuckets,
    registers,
  });
  const labels = new Counter({
    name: 'customer_labels_labels_total',
    help: 'Customers labelled and stored.',
    labelNames: ['label', 'source', 'model_version'],
    registers,
  });
  const listRows = new Counter({
    name: 'customer_labels_list_rows_total',
    help: 'Rows of customer lists that were labelled or rejected.',
    labelNames: ['outcome'],
    registers,
  });
  const calls = new Histogram({
    name: 'customer_labels_model_call_duration_seconds',
    help: 'Time of a call to the model server that was proved.',
    buckets: durationBuckets,
    registers,
  });
  const callRows = new Histogram({
    name: 'customer_labels_model_call_rows',
    help: 'Rows of a call to the model server, golden rows not counted.',
    buckets: rowBuckets,
    registers,
  });
  new Gauge({
    name: 'customer_labels_waiting_rows',
    help: 'Rows that wait for the model server or the database.',
    registers,
    collect() {
      this.set(waitingRows());
    },
  });
  new Gauge({
    name: 'customer_labels_model_proved',
    help: '1 while the last call to the model server proved that the right model answers.',
    registers,
    collect() {
      this.set(guardState().status === 'proved' ? 1 : 0);
    },
  });
  new Gauge({
    name: 'customer_labels_model_guard',
    help: 'What is known of the model server: 1 for the status that it has, 0 for the others.',
    labelNames: ['status'],
    registers,
    collect() {
      for (const status of guardStatuses) this.set({ status }, guardState().status === status ? 1 : 0);
    },
  });
  new Gauge({
    name: 'customer_labels_model_cannot_tell',
    help: '1 while golden rows do not tell the version that answers from another known one.',
    registers,
    collect() {
      this.set(guardState().cannotTell.length > 0 ? 1 : 0);
    },
  });
  new Gauge({
    name: 'customer_labels_lists',
    help: 'Customer lists that have not ended, of all instances; not there while the database is away.',
    labelNames: ['state'],
    registers,
    async collect() {
      this.reset();
      const counted = await within(openListsMs, openLists()).catch(() => ({}));
      for (const [state, lists] of Object.entries(counted)) this.set({ state }, lists);
    },
  });
  new Gauge({
    name: 'customer_labels_model_outage',
    help: '1 while no customer is sent to the model server because it is away.',
    registers,
    collect() {
      this.set(outage() === null ? 0 : 1);
    },
  });
  const retries = new Counter({
    name: 'customer_labels_model_retries_total',
    help: 'Calls to the model server that were made once more.',
    registers,
  });
  const refused = new Counter({
    name: 'customer_labels_refused_in_outage_total',
    help: 'Customers refused at once because the model server is away.',
    registers,
  });
  const disagreements = new Counter({
    name: 'customer_labels_probability_disagreements_total',
    help: 'Labels without a probability, because the copy of the model gives another label.',
    registers,
  });
  new Gauge({
    name: 'customer_labels_promotion_not_live',
    help: '1 while the registry names another version live than calls prove.',
    registers,
    collect() {
      this.set(registryState()?.promotion.state === 'not_live' ? 1 : 0);
    },
  });
  if (registryState() !== null)
    new Gauge({
      name: 'customer_labels_registry_up',
      help: '1 while the registry can be read and understood; not there without MLFLOW_TRACKING_URI.',
      registers,
      collect() {
        this.set(registryState()?.status === 'up' ? 1 : 0);
      },
    });
  new Gauge({
    name: 'customer_labels_build_info',
    help: 'Always 1; the version is in the label.',
    labelNames: ['version'],
    registers,
  }).set({ version }, 1);

  return {
    requestAnswered: ({ method, route, status, durationMs }) =>
      requests.observe({ method: knownMethods.has(method) ? method : 'other', route, status }, durationMs / 1_000),
    labelled: ({ label, source, modelVersion }, customers = 1) =>
      labels.inc({ label, source, model_version: modelVersion ?? 'unknown' }, customers),
    listRowsDone({ labelled, rejected }) {
      listRows.inc({ outcome: 'labelled' }, labelled);
      listRows.inc({ outcome: 'rejected' }, rejected);
    },
    batchScored({ rows, durationMs }) {
      calls.observe(durationMs / 1_000);
      callRows.observe(rows);
    },
    callRetried: () => retries.inc(),
    refusedInOutage: (customers) => refused.inc(customers),
    copyDisagreed: (count) => disagreements.inc(count),
    page: async () => ({ type: registry.contentType, text: await registry.metrics() }),
  };
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error('too late')), ms);
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

const knownMethods = new Set(['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS']);

import type { ListTally } from '../list-files/list-report.ts';
import type { FormatDecision } from '../list-files/detect-format.ts';

/**
 * receiving → pending → running ⇄ waiting → succeeded | partially_succeeded | failed; cancelled from any before the end.
 * waiting: something that passes keeps the list from going on, and `reason` says what. failed: no row has a label, or a
 * chunk was given up.
 */
export const batchStates = [
  'receiving',
  'pending',
  'running',
  'waiting',
  'succeeded',
  'partially_succeeded',
  'failed',
  'cancelled',
] as const;
export type BatchState = (typeof batchStates)[number];

export const endStates: readonly BatchState[] = ['succeeded', 'partially_succeeded', 'failed', 'cancelled'];

/** Why a list waits: something that will pass by itself, or with the next promotion. */
export const waitReasons = ['model_unavailable', 'model_untrusted', 'model_bad_answer', 'contract_changed'] as const;
export type WaitReason = (typeof waitReasons)[number];

export interface Batch {
  id: string;
  state: BatchState;
  reason: string | null;
  /** `duplicates`: labelled rows whose customer stands again further down; known at the end. */
  rows: { total: number; labelled: number; rejected: number; duplicates: number | null };
  /** How many rows each version labelled; a version without a name is `unknown`. */
  modelVersions: Record<string, number>;
  /** Errors by code and field, with counts and the first lines. */
  errors: ListTally['errors'];
  /** How the file was understood; null for stored customers and NDJSON. */
  decision: FormatDecision | null;
  createdAt: Date;
  startedAt: Date | null;
  finishedAt: Date | null;
}

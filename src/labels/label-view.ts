import { describeFault, type InputFault } from '../errors.ts';
import type { Locale } from '../locale.ts';
import type { StoredContract } from './contract-store.ts';
import type { StoredLabel } from './labelling.ts';

interface LabelViewOptions {
  /** The contract that the label was made by. */
  contract: StoredContract;
  locale: Locale;
  freshness: FreshnessRule;
}

/** What makes a label stale at this moment. */
export interface FreshnessRule {
  /** The version that answers now, when it is known; a label of another one is superseded. */
  liveVersion: string | null;
  /** A label that was last confirmed before this is too old; null: age alone makes none stale. */
  confirmedSince: Date | null;
}

export type Freshness = { stale: false } | { stale: true; reason: 'model_superseded' | 'too_old' };

/** A label as callers see it (interface.md). */
export function describeLabel(
  label: Omit<StoredLabel, 'id'> & { warnings?: InputFault[] },
  { contract, locale, freshness }: LabelViewOptions,
) {
  const kind = contract.labels.find(({ code }) => String(code) === label.label);
  return {
    customerId: label.customerId,
    label: kind?.code ?? label.label,
    name: kind?.name ?? label.label,
    text: kind?.text[locale] ?? label.label,
    ...(label.probability !== null && { probability: label.probability }),
    model: { name: label.modelName, version: label.modelVersion },
    source: label.source,
    labelledAt: label.labelledAt.toISOString(),
    confirmedAt: label.confirmedAt.toISOString(),
    freshness: freshnessOf(label, freshness),
    ...(label.warnings &&
      label.warnings.length > 0 && { warnings: label.warnings.map((warning) => describeFault(warning, locale)) }),
  };
}

/** An outage makes no label stale: only a known other version does, or age. A superseded label is that first of all. */
function freshnessOf(
  { modelVersion, confirmedAt }: Pick<StoredLabel, 'modelVersion' | 'confirmedAt'>,
  { liveVersion, confirmedSince }: FreshnessRule,
): Freshness {
  if (liveVersion !== null && modelVersion !== liveVersion) return { stale: true, reason: 'model_superseded' };
  if (confirmedSince !== null && confirmedAt < confirmedSince) return { stale: true, reason: 'too_old' };
  return { stale: false };
}

import { describeFault, type InputFault } from '../errors.ts';
import type { Locale } from '../locale.ts';
import type { StoredContract } from './contract-store.ts';
import type { Labelling, StoredLabel } from './label-store.ts';

interface LabelViewOptions {
  /** The contract that the label was made by. */
  contract: StoredContract;
  locale: Locale;
  /** The version that answers now, when it is known; a label of another one is stale. */
  liveVersion: string | null;
}

export type Freshness = { stale: false } | { stale: true; reason: 'model_superseded' };

/** A label as callers see it (interface.md). */
export function describeLabel(
  label: Omit<StoredLabel, 'id'> & { warnings?: InputFault[] },
  { contract, locale, liveVersion }: LabelViewOptions,
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
    freshness: freshnessOf(label, liveVersion),
    ...(label.warnings &&
      label.warnings.length > 0 && { warnings: label.warnings.map((warning) => describeFault(warning, locale)) }),
  };
}

/** An outage makes no label stale: only a known other version does. */
export function freshnessOf({ modelVersion }: Pick<Labelling, 'modelVersion'>, liveVersion: string | null): Freshness {
  const superseded = liveVersion !== null && modelVersion !== liveVersion;
  return superseded ? { stale: true, reason: 'model_superseded' } : { stale: false };
}

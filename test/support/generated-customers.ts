import type { Contract, Feature } from '../../src/contract/contract.ts';
import { createFeatureParser, type Scale } from '../../src/contract/feature-vector.ts';
import { float32Max } from '../../src/contract/scaling.ts';

export interface Generated {
  kind: 'ordinary' | 'extreme' | 'threshold';
  scale: Scale;
  /** In the contract's order. */
  features: number[];
}

const edges = [
  0,
  -0,
  1,
  -1,
  0.1,
  1e-7,
  5e-324,
  1e-45,
  1.175_494_350_822_287_5e-38,
  1.401_298_464_324_817e-45,
  2 ** 24 + 1,
  2 ** 53,
  2 ** 53 - 1,
  1e15,
  1e21,
  1e38,
  float32Max,
  float32Max * (1 - 2 ** -24),
].flatMap((value) => [value, -value]);

/**
 * Customers that the validator accepts: ordinary ones, ones with values at the edges of float32 and float64, and ones
 * that stand where a tree decides, or one float beside it. The same in every run.
 * @param thresholds by feature, standardised.
 */
export function generateAccepted(contract: Contract, thresholds: number[][], count: number): Generated[] {
  const random = seededRandom();
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const parse = createFeatureParser(contract);
  const { features } = contract;
  const standardize = (raw: number[]) =>
    features.map(({ scaling }, i) => ((raw[i] as number) - scaling.mean) / scaling.scale);

  function make(): Generated {
    const kind = pick(['ordinary', 'ordinary', 'extreme', 'threshold'] as const);
    const scale = kind === 'threshold' ? 'standardized' : pick(['raw', 'standardized'] as const);
    const raw = features.map((feature) => ordinary(feature, random));
    const row = scale === 'raw' ? raw : standardize(raw);
    const changes = kind === 'ordinary' ? 0 : 1 + Math.floor(random() * (kind === 'extreme' ? 3 : features.length));
    for (let i = 0; i < changes; i += 1) {
      const at = Math.floor(random() * row.length);
      if (kind === 'extreme') row[at] = pick(edges);
      else if (thresholds[at]?.length) row[at] = pick(around(pick(thresholds[at])));
    }
    return { kind, scale, features: row };
  }

  const accepted: Generated[] = [];
  while (accepted.length < count) {
    const one = make();
    if ('vector' in parse({ features: one.features, scale: one.scale })) accepted.push(one);
  }
  return accepted;
}

/** Beyond what training saw as often as within it. */
function ordinary({ allowed, trainingRange, scaling, type }: Feature, random: () => number): number {
  if ('values' in allowed) return allowed.values[Math.floor(random() * allowed.values.length)] as number;
  const { minimum, maximum } = trainingRange ?? { minimum: scaling.mean - scaling.scale, maximum: scaling.mean };
  const value = minimum + (random() * 1.5 - 0.1) * (maximum - minimum);
  const bounded = Math.min(Math.max(value, allowed.minimum ?? -Infinity), allowed.maximum ?? Infinity);
  return type === 'number' ? bounded : Math.round(bounded);
}

/** A float64, the float32 that a tree makes of it, and the neighbours of both. */
function around(value: number): number[] {
  const single = Math.fround(value);
  return [
    value,
    single,
    value * (1 + Number.EPSILON),
    value * (1 - Number.EPSILON),
    ...[1, -1].map((by) => beside(single, by)),
  ];
}

/** The float32 that is `by` places further from zero. */
function beside(single: number, by: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, single);
  view.setUint32(0, (view.getUint32(0) + by) >>> 0);
  const found = view.getFloat32(0);
  return Number.isFinite(found) ? found : single;
}

/** mulberry32 with a fixed seed. */
function seededRandom(): () => number {
  let state = 7;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

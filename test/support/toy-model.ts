import { type Contract, goldenRowsPerCall } from '../../src/contract/contract.ts';
import { goldenVector } from '../../src/contract/scaling.ts';

/** A model unlike the company's: three features, three labels with codes in words. */
export function toyLabel([height, visits, vip]: readonly number[]): 'low' | 'middle' | 'high' {
  const score = 2 * (height as number) - (visits as number) + 0.5 * (vip as number);
  if (score < -0.5) return 'low';
  return score < 0.7 ? 'middle' : 'high';
}

const texts = { low: 'Poco', middle: 'Medio', high: 'Mucho' };
const localized = (en: string, es: string) => ({ en, es });

/** The toy model's contract; its golden rows are labelled by `label`, the toy model itself when left out. */
export function toyContract(label: (vector: readonly number[]) => string = toyLabel): Contract {
  const feature = (name: string, mean: number, scale: number) => ({
    name,
    meaning: localized(name, name),
    names: localized(name, name),
    unit: null,
    type: 'number' as const,
    allowed: {},
    trainingRange: { minimum: mean - 3 * scale, maximum: mean + 3 * scale },
    scaling: { mean, scale },
    reference: null,
  });
  const contract: Contract = {
    contractVersion: 1,
    model: { name: 'toy', version: '7', runId: 'r7' },
    features: [
      feature('height', 170, 10),
      { ...feature('visits', 4, 2), type: 'integer', allowed: { minimum: 0 } },
      { ...feature('vip', 0.5, 0.5), type: 'binary', allowed: { values: [0, 1] } },
    ],
    labels: Object.entries(texts).map(([code, es]) => ({
      code,
      name: code,
      text: localized(code, es),
      positive: code === 'high',
    })),
    goldenRows: Array.from({ length: 40 }, (_, i) => ({
      features: { height: 150 + ((i * 17) % 41), visits: (i * 5) % 9, vip: i % 2 },
      label: 'low',
    })),
    onnx: null,
    training: null,
  };
  for (const row of contract.goldenRows) row.label = label(goldenVector(contract, row));
  const first = Object.keys(texts).map((code) => contract.goldenRows.findIndex((row) => row.label === code));
  const order = [...new Set([...first.filter((i) => i >= 0), ...contract.goldenRows.keys()])];
  contract.goldenRows = order.map((i) => contract.goldenRows[i] as Contract['goldenRows'][number]);
  return contract;
}

/** A customer that the toy model labels `label`, by name in the ERP's units. */
export function toyCustomer(label: 'low' | 'middle' | 'high' = 'high') {
  const features = {
    low: { height: 150, visits: 6, vip: 0 },
    middle: { height: 170, visits: 4, vip: 0 },
    high: { height: 190, visits: 2, vip: 1 },
  };
  return { features: features[label] };
}

/** How many rows of a call to the model server are golden. */
export const golden = goldenRowsPerCall;

export type ToyModel = (vector: readonly number[]) => string;

export interface ToyVersion {
  contract: Contract;
  model: ToyModel;
}

/** A version of the toy model: its own scaler, and its own idea of who is high. */
export function toyVersion(name: string, model: ToyModel, mean = 170): ToyVersion {
  const contract = toyContract(model);
  contract.model.version = name;
  const [height] = contract.features as [Contract['features'][number]];
  height.scaling = { mean, scale: mean === 170 ? 10 : 5 };
  for (const row of contract.goldenRows) row.label = model(goldenVector(contract, row));
  return { contract, model };
}

/** The toy model with another idea of who is high: the larger the shift, the fewer. */
export function shiftedToy(shift: number): ToyModel {
  return ([height, visits, vip]) => toyLabel([(height as number) - shift, visits as number, vip as number]);
}

/** A version that wants two features, and refuses rows that have three. */
export function narrowVersion(): ToyVersion {
  const model: ToyModel = (vector) => {
    if (vector.length !== 2) throw new Error('two features');
    return toyLabel([vector[0] as number, vector[1] as number, 0]);
  };
  const contract = toyContract(([height, visits]) => model([height as number, visits as number]));
  contract.model.version = '10';
  contract.features.pop();
  for (const row of contract.goldenRows) delete row.features['vip'];
  return { contract, model };
}

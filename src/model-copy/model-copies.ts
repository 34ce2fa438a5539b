import type { Contract, LabelCode } from '../contract/contract.ts';
import { goldenVector } from '../contract/scaling.ts';
import { OperatorError } from '../operator-error.ts';
import type { Logger } from '../logger.ts';
import { type Forest, predictForest } from './forest.ts';
import { OnnxForestError, readOnnxForest } from './read-onnx-forest.ts';

/** The copy of one version of the model that this process evaluates itself. */
export interface ModelCopy {
  forest: Forest;
  /** The positive label's place among the forest's labels; -1 when the contract names none. */
  positive: number;
}

export interface CopyScores {
  labels: LabelCode[];
  /** Of the positive label, 0 to 1; null when the contract names none. */
  probabilities: number[] | null;
}

export interface ModelCopies {
  /** The copy of this version; null when it has none that can be trusted. Takes some 100 ms the first time. */
  of(contract: Contract): ModelCopy | null;
}

interface ModelCopiesOptions {
  /** The bytes of a version's ONNX copy. @throws OperatorError when there are none, or others than its contract names */
  onnxOf(contract: Contract): Uint8Array;
  logger: Logger;
}

/** A copy is used once it has given every golden row of its contract the label that scikit-learn gave it. */
export function createModelCopies({ onnxOf, logger }: ModelCopiesOptions): ModelCopies {
  const copies = new WeakMap<Contract, ModelCopy | null>();

  function load(contract: Contract): ModelCopy | null {
    if (contract.onnx === null) return null;
    try {
      return openCopy(contract, onnxOf(contract));
    } catch (error) {
      if (!(error instanceof OperatorError || error instanceof OnnxForestError)) throw error;
      const { version } = contract.model;
      logger.warn({ version, reason: error.message }, 'no copy of the model: no probability, no label in an outage');
      return null;
    }
  }

  return {
    of(contract) {
      const known = copies.get(contract);
      if (known !== undefined) return known;
      const copy = load(contract);
      copies.set(contract, copy);
      return copy;
    },
  };
}

/** @throws OnnxForestError when the file cannot be evaluated, or answers otherwise than the contract says. */
export function openCopy(contract: Contract, onnx: Uint8Array): ModelCopy {
  const forest = readOnnxForest(onnx);
  const codes = new Set(contract.labels.map(({ code }) => code));
  if (forest.featureCount > contract.features.length || !forest.labels.every((code) => codes.has(code)))
    throw new OnnxForestError('it takes other features or gives other labels than the contract says');
  const golden = predictForest(
    forest,
    contract.goldenRows.map((row) => goldenVector(contract, row)),
  );
  const wrong = contract.goldenRows.filter(({ label }, i) => golden.labels[i] !== label).length;
  if (wrong > 0) throw new OnnxForestError(`it labels ${wrong} of ${contract.goldenRows.length} golden rows otherwise`);

  return { forest, positive: forest.labels.indexOf(contract.labels.find((label) => label.positive)?.code ?? '') };
}

/** @param vectors standardised, as the version's model takes them. */
export function predictWith({ forest, positive }: ModelCopy, vectors: readonly ArrayLike<number>[]): CopyScores {
  const { labels, probabilities } = predictForest(forest, vectors);
  const ofPositive = (row: number) =>
    Math.min(1, Math.max(0, probabilities[row * forest.labels.length + positive] as number));
  return { labels, probabilities: positive < 0 ? null : labels.map((_, row) => ofPositive(row)) };
}

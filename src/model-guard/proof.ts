import type { Contract, GoldenRow } from '../contract/contract.ts';
import { goldenVector } from '../contract/scaling.ts';
import { ServiceError } from '../errors.ts';
import { type BodyRows, parsePredictions, type Scores, toBodyRows } from '../model-server/scoring-protocol.ts';

/** Golden rows of one version, as that version's model takes them. */
export interface Proof {
  contract: Contract;
  rows: readonly GoldenRow[];
  sent: BodyRows;
}

const proofs = new WeakMap<Contract, Map<number, Proof>>();

/** The first `count` golden rows of a version. */
export function proofOf(contract: Contract, count: number): Proof {
  const known = proofs.get(contract) ?? new Map<number, Proof>();
  proofs.set(contract, known);
  const before = known.get(count);
  if (before) return before;
  const rows = contract.goldenRows.slice(0, count);
  const proof = { contract, rows, sent: toBodyRows(rows.map((row) => goldenVector(contract, row))) };
  known.set(count, proof);
  return proof;
}

/**
 * Which version answered a call that began with these proofs' rows: the one whose labels all came back. When that is
 * true of several, no row tells them apart, and the expected one is taken.
 * @throws ServiceError model_bad_answer, model_untrusted
 */
export function readProof(reply: unknown, rowCount: number, given: readonly Proof[], expected: Contract) {
  let from = 0;
  const read = given.map(({ contract, rows }) => {
    const scores = parsePredictions(reply, rowCount, contract);
    const at = from;
    from += rows.length;
    const wrong =
      typeof scores === 'string' ? rows.length : rows.filter((row, i) => row.label !== scores.labels[at + i]).length;
    return { contract, scores, wrong };
  });
  const own = read.find(({ contract }) => contract === expected) as (typeof read)[number];
  if (typeof own.scores === 'string') throw badAnswer(own.scores);
  const right = read.filter(({ wrong }) => wrong === 0);
  const answered = right.includes(own) ? own : right[0];
  if (answered === undefined || typeof answered.scores === 'string') {
    const golden = given.find(({ contract }) => contract === expected)?.rows.length;
    const known = given.length === 1 ? '' : `, and those of the ${given.length - 1} other known versions neither`;
    const reason = `${own.wrong} of ${golden} golden rows came back with another label${known}`;
    throw new ServiceError('model_untrusted', { reason });
  }
  const others = right.filter((one) => one !== answered);
  return {
    answered: answered.contract,
    scores: answered.scores,
    cannotTell: others.map(({ contract }) => contract.model.version ?? 'without a version'),
  };
}

export function badAnswer(fault: string) {
  return new ServiceError('model_bad_answer', { reason: `the model server's answer cannot be used: ${fault}` });
}

/** The versions that take as many features as this one: only their rows can go in one call. */
export function takingAsMany(contracts: readonly Contract[], { features }: Contract): Contract[] {
  return contracts.filter((one) => one.features.length === features.length);
}

export function slice({ labels, probabilities }: Scores, from: number, to: number): Scores {
  return { labels: labels.slice(from, to), probabilities: probabilities?.slice(from, to) ?? null };
}

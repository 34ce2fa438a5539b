import { ServiceError } from '../errors.ts';
import type { Outcome } from './micro-batcher.ts';
import { RowsRefused } from './model-server-client.ts';

/** How many bad rows of one batch are looked for before the rest of it is given up. */
const maxBadRows = 8;

interface BisectionOptions<Item, Answer> {
  /**
   * Throws RowsRefused when something in the items, or in the call itself, was refused.
   * @param until when nobody waits for it any more, on performance.now()'s clock.
   */
  score(items: readonly Item[], until: number): Promise<readonly Outcome<Answer>[]>;
  /** Resolves when a call without any item is accepted: then a refusal lies in the items. */
  control(): Promise<unknown>;
}

/**
 * Scores a batch so that a row which only the model server refuses costs itself and no other.
 *
 * MLflow answers 400 for a whole call when one row is bad. The batch is halved until the bad row is alone: for each one
 * at most 2·log2(n) further calls, and one control call a batch. When the control is refused too, or every single row
 * is, the fault is not in the rows and all of them end with `model_bad_answer`. Only a 400 is bisected.
 */
export function createBisection<Item, Answer>(options: BisectionOptions<Item, Answer>) {
  const { score, control } = options;
  return async (items: readonly Item[], until: number): Promise<Outcome<Answer>[]> => {
    let callsLeft = maxBadRows * (2 * Math.ceil(Math.log2(items.length + 1)) + 2);

    async function attempt(part: readonly Item[]): Promise<Outcome<Answer>[]> {
      if (callsLeft <= 0) return part.map(() => ({ error: badAnswer() }));
      callsLeft -= 1;
      try {
        return [...(await score(part, until))];
      } catch (error) {
        if (!(error instanceof RowsRefused)) return part.map(() => ({ error }));
        return part === items && !(await isControlAccepted()) ? part.map(() => ({ error: badAnswer() })) : halve(part);
      }
    }

    async function halve(part: readonly Item[]): Promise<Outcome<Answer>[]> {
      if (part.length === 1) return [{ error: refusedRow() }];
      const middle = Math.ceil(part.length / 2);
      return [...(await attempt(part.slice(0, middle))), ...(await attempt(part.slice(middle)))];
    }

    async function isControlAccepted() {
      callsLeft -= 1;
      return control().then(
        () => true,
        () => false,
      );
    }

    const outcomes = await attempt(items);
    const allRefused = items.length > 1 && outcomes.every((outcome) => 'error' in outcome && isRefusal(outcome.error));
    return allRefused ? outcomes.map(() => ({ error: badAnswer() })) : outcomes;
  };
}

function refusedRow() {
  return new ServiceError('invalid_features', { faults: [{ pointer: '#/features', code: 'refused_by_model' }] });
}

function isRefusal(error: unknown) {
  return error instanceof ServiceError && error.faults.some(({ code }) => code === 'refused_by_model');
}

function badAnswer() {
  return new ServiceError('model_bad_answer', { reason: 'the model server refuses every row' });
}

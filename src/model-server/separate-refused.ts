import { RowsRefused } from './model-server-client.ts';

interface SeparationOptions<Item, Answer> {
  /** Throws RowsRefused when something in the items, or in the call itself, was refused. */
  score(items: readonly Item[]): Promise<readonly Answer[]>;
  /** Resolves when a call without any item is accepted: then a refusal lies in the items. */
  control(): Promise<unknown>;
  /** How many calls at most are made of one lot. */
  mostCalls: number;
}

/** `refused_with_others`: it stands in a part that was refused, and was not asked for alone. */
export type Separated<Answer> = { answer: Answer } | { refusal: 'refused_by_model' | 'refused_with_others' };

/**
 * Scores a lot of a list's rows so that a row which only the model server refuses costs itself and no other.
 *
 * What is refused is halved, all large parts before any small one: for each bad row at most 2·log2(n) further calls, and
 * two control calls a lot. n rows that are all bad take 2n − 1 calls, so up to `mostCalls` / 2 rows are always separated
 * to the last one. Of a larger lot with very many bad rows, small parts are left when the calls are used up: their rows
 * end with `refused_with_others`, since `refused_by_model` is said only of a row that was asked for alone.
 * @throws what a call throws that is not about rows, and the control: one that is refused, before or after, says that
 * the fault is not in the rows
 */
export function createSeparation<Item, Answer>({ score, control, mostCalls }: SeparationOptions<Item, Answer>) {
  return async (items: readonly Item[]): Promise<Separated<Answer>[]> => {
    const separated = Array<Separated<Answer>>(items.length);

    /** @returns the halves that are to be asked for */
    async function ask({ from, to }: Part): Promise<Part[]> {
      try {
        for (const [i, answer] of (await score(items.slice(from, to))).entries()) separated[from + i] = { answer };
        return [];
      } catch (error) {
        if (!(error instanceof RowsRefused)) throw error;
      }
      if (to - from === 1) {
        separated[from] = { refusal: 'refused_by_model' };
        return [];
      }
      const middle = Math.ceil((from + to) / 2);
      return [
        { from, to: middle },
        { from: middle, to },
      ];
    }

    let parts = await ask({ from: 0, to: items.length });
    if (0 in separated && 'answer' in separated[0]) return separated;
    await control();
    for (let callsLeft = mostCalls - 1; parts.length > 0;) {
      const halves: Part[] = [];
      for (const part of parts) {
        callsLeft -= 1;
        if (callsLeft >= 0) halves.push(...(await ask(part)));
        else for (let i = part.from; i < part.to; i += 1) separated[i] = { refusal: 'refused_with_others' };
      }
      parts = halves;
    }
    await control();
    return separated;
  };
}

interface Part {
  from: number;
  to: number;
}

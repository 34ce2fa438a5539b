import { existsSync, mkdirSync } from 'node:fs';
import { cp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** What training leaves in server 2's home: MLflow names artifacts by the way to its server, so a copy is as good. */
const parts = ['mlflow.db', 'artifacts', 'contract'];
/** Of this run of jest: made and taken away by jest-setup.ts. */
const folder = process.env['TRAINED_HOME'];

/**
 * Gives a home what the run's first training of the company's model left in its own: one training is a minute and more,
 * and many suites want one.
 * @returns false when it is the caller's turn to train, who then calls `keepTrained`, or in any case `giveUpTraining`.
 */
export async function takeTrained(home: string): Promise<boolean> {
  if (folder === undefined) return false;
  const [done, lock] = [join(folder, 'home'), join(folder, 'lock')];
  for (;;) {
    if (existsSync(done)) {
      await cp(done, home, { recursive: true });
      return true;
    }
    try {
      mkdirSync(lock);
      return false;
    } catch {
      await sleep(500);
    }
  }
}

export async function keepTrained(home: string): Promise<void> {
  if (folder === undefined) return;
  const unfinished = join(folder, 'unfinished');
  for (const part of parts) await cp(join(home, part), join(unfinished, part), { recursive: true });
  await rename(unfinished, join(folder, 'home'));
}

/** Lets another suite train, if this one has not. */
export async function giveUpTraining(): Promise<void> {
  if (folder === undefined) return;
  await rm(join(folder, 'unfinished'), { recursive: true, force: true });
  await rm(join(folder, 'lock'), { recursive: true, force: true });
}

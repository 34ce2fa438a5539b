import { mkdirSync, readFileSync, rmSync, statSync, utimes, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { kill, pid } from 'node:process';
import { OperatorError } from '../operator-error.ts';

/** PGlite's folder belongs to one process at a time; two would destroy it. */
export class FolderInUseError extends OperatorError {
  override name = 'FolderInUseError';
}

const signOfLifeMs = 2_000;
const staleMs = 10_000;

/**
 * Claims a folder for this process, making it when missing, and keeps the claim fresh.
 *
 * A claim of this host is stale when its process is gone, or has our own number: then the process before us in this
 * container left it. Of another host (a container on the same volume) only the sign of life can be judged.
 * @returns a function that gives the folder back.
 * @throws FolderInUseError naming who has it.
 */
export function lockFolder(folder: string): () => void {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'customer-labels.lock');
  while (!claim(file)) {
    const holder = readHolder(file);
    if (holder && isHeld(holder))
      throw new FolderInUseError(
        `The database folder ${folder} is in use by process ${holder.processId} on ${holder.host}. Stop it, or choose another DATA_DIR. (If that process is something else, delete ${file}.)`,
      );
    rmSync(file, { force: true });
  }
  const timer = setInterval(() => utimes(file, new Date(), new Date(), () => {}), signOfLifeMs).unref();
  return () => {
    clearInterval(timer);
    rmSync(file, { force: true });
  };
}

function claim(file: string): boolean {
  try {
    writeFileSync(file, `${pid} ${hostname()}`, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

interface Holder {
  processId: number;
  host: string;
  ageMs: number;
}

function readHolder(file: string): Holder | undefined {
  try {
    const [processId, host] = readFileSync(file, 'utf8').split(' ') as [string, string];
    return { processId: Number(processId), host, ageMs: Date.now() - statSync(file).mtimeMs };
  } catch {
    return undefined;
  }
}

function isHeld({ processId, host, ageMs }: Holder): boolean {
  if (host !== hostname()) return ageMs < staleMs;
  return processId !== pid && isAlive(processId);
}

function isAlive(processId: number): boolean {
  try {
    kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

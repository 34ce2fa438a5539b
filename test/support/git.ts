import { execFileSync } from 'node:child_process';

/** What git prints of this repository. */
export function git(words: string[]): string {
  return execFileSync('git', words, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
}

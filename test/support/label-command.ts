import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

interface Ran {
  code: number | null;
  out: string;
  err: string;
}

/** The real `customer-labels label`, as a process, with a folder for its files. */
export interface LabelCommand extends Disposable {
  folder: string;
  place(name: string): string;
  /** As bytes: latin1 loses none. */
  read(name: string): string;
  start(words: string[], environment?: Record<string, string>): { child: ChildProcess; ran: Promise<Ran> };
  label(words: string[], environment?: Record<string, string>): Promise<Ran>;
}

export function createLabelCommand(): LabelCommand {
  const folder = mkdtempSync(join(tmpdir(), 'cli-label-'));
  const place = (name: string) => join(folder, name);

  function start(words: string[], environment: Record<string, string> = {}) {
    const child = spawn(process.execPath, ['src/cli/main.ts', 'label', ...words], {
      env: { ...process.env, LANG: 'C', DATA_DIR: place('data'), ...environment },
    });
    const ended = once(child, 'exit') as Promise<[number | null]>;
    const ran = Promise.all([text(child.stdout), text(child.stderr), ended]).then(([out, err, [code]]) => ({
      code,
      out,
      err,
    }));
    return { child, ran };
  }

  return {
    folder,
    place,
    read: (name) => readFileSync(place(name), 'latin1'),
    start,
    label: (words, environment) => start(words, environment).ran,
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

import { createWriteStream, existsSync, statSync } from 'node:fs';
import { realpath, rename, rm } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { pid, stdout } from 'node:process';
import { pipeline } from 'node:stream/promises';
import type { Locale } from '../../locale.ts';
import { WrongUseError } from './label-errors.ts';
import { textsIn } from './label-texts.ts';

/** Where results and rejected rows go: a file, `-` for standard output, or null for nowhere. */
export interface Outputs {
  results: string | null;
  rejected: string | null;
}

interface Wanted {
  /** The list's own file; null where it comes from elsewhere. */
  file: string | null;
  out?: string | undefined;
  rejected?: string | undefined;
  /** Where results go when nothing is said and no file was given. */
  otherwise: '-' | null;
}

/** `clientes.csv` becomes `clientes.labelled.csv` and `clientes.rejected.csv`, beside the results where these are a file. */
export function planOutputs({ file, out, rejected, otherwise }: Wanted): Outputs {
  const results = out ?? (file === null ? otherwise : besides(file, 'labelled'));
  const near = out !== undefined && out !== '-' ? out : file;
  return { results, rejected: rejected ?? (near === null ? null : besides(near, 'rejected')) };
}

function besides(file: string, word: string): string {
  const ending = extname(file);
  return join(dirname(file), `${basename(file, ending)}.${word}${ending}`);
}

/** Before anything is done. @throws WrongUseError when a file is in the way or has no folder to be in */
export async function checkOutputs(
  { results, rejected }: Outputs,
  { file, force, locale }: { file: string | null; force: boolean; locale: Locale },
): Promise<void> {
  const texts = textsIn(locale);
  const files = [results, rejected].filter((one): one is string => one !== null && one !== '-');
  for (const one of files) {
    if (!existsSync(dirname(one))) throw new WrongUseError(texts.noFolder(dirname(one)));
    if (!existsSync(one)) continue;
    if (statSync(one).isDirectory()) throw new WrongUseError(texts.isFolder(one));
    if (!force) throw new WrongUseError(texts.exists(one));
    if (file !== null && (await realpath(one)) === (await realpath(file))) throw new WrongUseError(texts.sameFile(one));
  }
  if (results !== null && results === rejected) throw new WrongUseError(texts.sameFile(results));
}

/** Writes all of it or nothing: into a file beside the wanted one, which takes its name at the end. */
export async function writeWhole(target: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  if (target === '-') {
    await pipeline(bytes, stdout, { end: false });
    return;
  }
  const unfinished = join(dirname(target), `.${basename(target)}.${pid}.part`);
  try {
    await pipeline(bytes, createWriteStream(unfinished, { flush: true }));
    await rename(unfinished, target);
  } finally {
    await rm(unfinished, { force: true });
  }
}

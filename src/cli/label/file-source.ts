import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { stdin } from 'node:process';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Locale } from '../../locale.ts';
import { WrongUseError } from './label-errors.ts';
import { textsIn } from './label-texts.ts';
import type { SentList } from './list-service.ts';

/** A list that can be read as often as is needed. */
export interface FileSource extends AsyncDisposable {
  kind: SentList['kind'];
  sizeBytes: number;
  /** SHA-256 of its bytes. */
  hash: string;
  /** @throws WrongUseError when its bytes are others than those hashed */
  open(onBytes: (count: number) => void): AsyncGenerator<Uint8Array>;
}

interface FileSourceOptions {
  /** `-` for standard input. */
  file: string;
  format?: SentList['kind'] | undefined;
  locale: Locale;
  signal: AbortSignal;
}

const kinds: Record<string, SentList['kind']> = {
  '.csv': 'csv',
  '.txt': 'csv',
  '.tsv': 'csv',
  '.ndjson': 'ndjson',
  '.jsonl': 'ndjson',
};
const pieceBytes = 256 * 1024;

/** What a file's ending says it is. @throws WrongUseError when there is no file, or nobody says what it is */
export async function kindOf({ file, format, locale }: Omit<FileSourceOptions, 'signal'>): Promise<SentList['kind']> {
  const texts = textsIn(locale);
  if (file === '-') return format ?? 'csv';
  if (!existsSync(file)) throw new WrongUseError(texts.noFile(file));
  const about = await stat(file);
  if (about.isDirectory()) throw new WrongUseError(texts.isFolder(file));
  const kind = format ?? kinds[extname(file).toLowerCase()] ?? (about.isFile() ? undefined : 'csv');
  if (kind === undefined) throw new WrongUseError(texts.unknownEnding(file));
  return kind;
}

/** Reads a file once for its hash. What can be read only once, such as standard input, is kept in a temporary file. */
export async function openFileSource({ file, format, locale, signal }: FileSourceOptions): Promise<FileSource> {
  const kind = await kindOf({ file, format, locale });
  const isLasting = file !== '-' && (await stat(file)).isFile();
  const folder = isLasting ? undefined : await mkdtemp(join(tmpdir(), 'customer-labels-'));
  const removeFolder = async () => {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  };
  try {
    const path = folder === undefined ? file : join(folder, 'list');
    if (folder !== undefined) await keep(file === '-' ? stdin : createReadStream(file), path, signal);
    const hash = createHash('sha256');
    await pipeline(createReadStream(path, { highWaterMark: pieceBytes }), hash, { signal });
    const digest = hash.digest('hex');
    return {
      kind,
      sizeBytes: (await stat(path)).size,
      hash: digest,
      async *open(onBytes) {
        const again = createHash('sha256');
        let count = 0;
        let last: Uint8Array | undefined;
        for await (const bytes of createReadStream(path, { highWaterMark: pieceBytes })) {
          if (last) yield last;
          last = bytes as Uint8Array;
          again.update(last);
          onBytes((count += last.length));
        }
        // Before the last of it, so that a list which is not the one hashed is never whole
        if (again.digest('hex') !== digest) throw new WrongUseError(textsIn(locale).fileChanged(file));
        if (last) yield last;
      },
      [Symbol.asyncDispose]: removeFolder,
    };
  } catch (error) {
    await removeFolder();
    throw error;
  }
}

async function keep(from: Readable, path: string, signal: AbortSignal): Promise<void> {
  await pipeline(from, createWriteStream(path, { mode: 0o600 }), { signal });
}

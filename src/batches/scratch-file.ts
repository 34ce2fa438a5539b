import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where something stands in the file. */
export interface Place {
  at: number;
  length: number;
}

export interface ScratchFile extends AsyncDisposable {
  keep(bytes: Uint8Array): Promise<Place>;
  read(place: Place): Promise<Uint8Array>;
}

/** A file without a name: where the system allows that, nothing is left of it even when the process is killed. */
export async function openScratchFile(): Promise<ScratchFile> {
  const folder = await mkdtemp(join(tmpdir(), 'customer-labels-'));
  const removeFolder = () => rm(folder, { recursive: true, force: true });
  try {
    const file = await open(join(folder, 'scratch'), 'wx+', 0o600);
    // Windows removes it when it is closed
    await removeFolder().catch(() => {});
    let end = 0;
    return {
      async keep(bytes) {
        const place = { at: end, length: bytes.length };
        end += bytes.length;
        for (let done = 0; done < bytes.length;)
          done += (await file.write(bytes, done, bytes.length - done, place.at + done)).bytesWritten;
        return place;
      },
      async read({ at, length }) {
        const bytes = new Uint8Array(length);
        for (let done = 0; done < length;) {
          const { bytesRead } = await file.read(bytes, done, length - done, at + done);
          if (bytesRead === 0) throw new Error('the scratch file ends too early');
          done += bytesRead;
        }
        return bytes;
      },
      async [Symbol.asyncDispose]() {
        await file.close();
        await removeFolder();
      },
    };
  } catch (error) {
    await removeFolder();
    throw error;
  }
}

/** So many hashes are held at once, 8 bytes each; of a longer list they are looked at in turns. */
const hashesPerTurn = 4_194_304;

/**
 * 64 bits of each id, 8 bytes each, to count who stands in a list twice: of ten million different ids two are alike in
 * one list of 370,000. Two 32-bit hashes side by side, each multiplying as FNV-1a does and mixed as MurmurHash3 ends.
 */
export function hashCustomers(ids: readonly string[]): Uint8Array {
  const halves = new Int32Array(ids.length * 2);
  for (const [i, id] of ids.entries()) {
    let [a, b] = [0x811c9dc5, 0x2545f491];
    for (let at = 0; at < id.length; at += 1) {
      const unit = id.charCodeAt(at);
      a = Math.imul(a ^ unit, 0x01000193);
      b = Math.imul(b ^ unit, 0x5bd1e995) ^ (b >>> 15);
    }
    halves[2 * i] = mix(a ^ id.length);
    halves[2 * i + 1] = mix(b);
  }
  return new Uint8Array(halves.buffer);
}

function mix(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

/**
 * How many of them stand again further down.
 * @param read reads all of them, chunk by chunk; of a long list more than once.
 * @param countRepeats of hashes that are held together, of which it may change the order.
 */
export async function countDuplicates(
  read: () => AsyncIterable<Uint8Array>,
  rows: number,
  countRepeats: (hashes: BigUint64Array) => Promise<number>,
): Promise<number> {
  const turns = Math.max(1, Math.ceil(rows / hashesPerTurn));
  let duplicates = 0;
  for (let turn = 0; turn < turns; turn += 1) {
    const held: BigUint64Array[] = [];
    for await (const bytes of read()) {
      const hashes = new BigUint64Array(new Uint8Array(bytes).buffer);
      held.push(turns === 1 ? hashes : hashes.filter((hash) => Number(hash & 0xffffn) % turns === turn));
    }
    const together = new BigUint64Array(held.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const hashes of held) {
      together.set(hashes, at);
      at += hashes.length;
    }
    duplicates += await countRepeats(together);
  }
  return duplicates;
}

/** How many are equal to one that stands before them. */
export function countRepeats(hashes: BigUint64Array): number {
  hashes.sort();
  let repeats = 0;
  for (let i = 1; i < hashes.length; i += 1) if (hashes[i] === hashes[i - 1]) repeats += 1;
  return repeats;
}

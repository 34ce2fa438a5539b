const float8Oid = 701;
const headerBytes = 20;
const elementBytes = 12;

/**
 * Numbers as the binary form of a float8[] parameter: writing and reading them as text takes ten times as long.
 * PostgreSQL's array_recv: dimensions, whether there are nulls, the elements' type, then length and first index, all of
 * 32 bits; then each element after its length. Everything is big-endian.
 */
export function toFloat8Array(numbers: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(headerBytes + numbers.length * elementBytes);
  const view = new DataView(bytes.buffer);
  for (const [i, word] of [1, 0, float8Oid, numbers.length, 1].entries()) view.setInt32(4 * i, word);
  for (let i = 0, at = headerBytes; i < numbers.length; i += 1, at += elementBytes) {
    view.setInt32(at, 8);
    view.setFloat64(at + 4, numbers[i] as number);
  }
  return bytes;
}

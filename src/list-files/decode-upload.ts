import { ServiceError } from '../errors.ts';
import type { Encoding } from './list-format.ts';

/** How the bytes of an upload become bytes that can be cut: UTF-16 as UTF-8, anything else as it is. */
export interface UploadDecoder {
  /** Undefined: UTF-8 or a single-byte encoding, which only the whole file can tell. */
  encoding: Encoding | undefined;
  from: 'given' | 'byte_order_mark' | 'zero_bytes' | undefined;
  byteOrderMark: boolean;
  /** Without the byte order mark. */
  decode(bytes: Buffer): Buffer;
  /** What a cut-off last character becomes. */
  flush(): Buffer;
}

const byteOrderMarks: [Encoding, number[]][] = [
  ['utf-8', [0xef, 0xbb, 0xbf]],
  ['utf-16le', [0xff, 0xfe]],
  ['utf-16be', [0xfe, 0xff]],
];
const otherFiles: [string, number[]][] = [
  ['.xlsx (ZIP)', [0x50, 0x4b, 0x03, 0x04]],
  ['.xls', [0xd0, 0xcf, 0x11, 0xe0]],
  ['gzip', [0x1f, 0x8b]],
];

/**
 * @param start the beginning of the file, some kilobytes of it.
 * @throws ServiceError invalid_list for a workbook or an archive.
 */
export function createUploadDecoder(start: Buffer, given: Encoding | undefined): UploadDecoder {
  const begins = ([, mark]: [unknown, number[]]) => mark.every((byte, i) => start[i] === byte);
  const other = otherFiles.find(begins);
  if (other)
    throw new ServiceError('invalid_list', { faults: [{ pointer: '#', code: 'not_a_text_file', expected: other[0] }] });

  const mark = byteOrderMarks.find(begins);
  const byZeros = encodingByZeros(start);
  const encoding = given ?? mark?.[0] ?? byZeros;
  const from = given ? 'given' : mark ? 'byte_order_mark' : byZeros && 'zero_bytes';
  const byteOrderMark = mark !== undefined && mark[0] === encoding;
  if (encoding === 'utf-16le' || encoding === 'utf-16be') {
    const decoder = new TextDecoder(encoding);
    return {
      encoding,
      from,
      byteOrderMark,
      decode: (bytes) => Buffer.from(decoder.decode(bytes, { stream: true })),
      flush: () => Buffer.from(decoder.decode()),
    };
  }
  let toSkip = byteOrderMark ? 3 : 0;
  return {
    encoding,
    from,
    byteOrderMark,
    decode(bytes) {
      const rest = bytes.subarray(toSkip);
      toSkip -= bytes.length - rest.length;
      return rest;
    },
    flush: () => Buffer.alloc(0),
  };
}

/** Text in a Latin script has a zero in nearly every second byte of UTF-16, and none anywhere else. */
function encodingByZeros(start: Buffer): Encoding | undefined {
  const zeros = [0, 0];
  for (const [i, byte] of start.entries()) if (byte === 0) zeros[i % 2] = (zeros[i % 2] as number) + 1;
  const [even = 0, odd = 0] = zeros;
  const mostly = start.length * 0.3;
  if (odd > mostly && even < odd / 10) return 'utf-16le';
  return even > mostly && odd < even / 10 ? 'utf-16be' : undefined;
}

import { isAscii, isUtf8 } from 'node:buffer';
import type { Encoding } from './list-format.ts';

/** Of the bytes that are not ASCII: the characters that are well-formed UTF-8, and the bytes that are not. */
export interface EncodingEvidence {
  validCharacters: number;
  invalidBytes: number;
}

const firstLead = 0xc0;
const asciiEnd = 0x80;

/** Counts over whole records, so that no character is cut in two. Counts of pieces add up. */
export function findEncodingEvidence(bytes: Uint8Array): EncodingEvidence {
  let validCharacters = 0;
  let invalidBytes = 0;
  if (isAscii(bytes)) return { validCharacters, invalidBytes };
  if (isUtf8(bytes)) {
    for (let at = 0; at < bytes.length; at += 1) if ((bytes[at] as number) >= firstLead) validCharacters += 1;
    return { validCharacters, invalidBytes };
  }
  for (let at = 0; at < bytes.length;) {
    const length = (bytes[at] as number) < asciiEnd ? 1 : characterLength(bytes, at);
    if (length === 0) invalidBytes += 1;
    else if (length > 1) validCharacters += 1;
    at += length || 1;
  }
  return { validCharacters, invalidBytes };
}

/** By lead: the second bytes it may have, none for what is no lead. Table 3-7 of the Unicode standard. */
const leastSecond = new Uint8Array(256).fill(0xff);
const mostSecond = new Uint8Array(256);
for (const [first, last, least, most] of [
  [0xc2, 0xdf, 0x80, 0xbf],
  [0xe0, 0xe0, 0xa0, 0xbf],
  [0xe1, 0xec, 0x80, 0xbf],
  [0xed, 0xed, 0x80, 0x9f],
  [0xee, 0xef, 0x80, 0xbf],
  [0xf0, 0xf0, 0x90, 0xbf],
  [0xf1, 0xf3, 0x80, 0xbf],
  [0xf4, 0xf4, 0x80, 0x8f],
] as const) {
  leastSecond.fill(least, first, last + 1);
  mostSecond.fill(most, first, last + 1);
}

/** Of the UTF-8 character that begins here; 0 when none does. */
function characterLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] as number;
  const second = at + 1 < bytes.length ? (bytes[at + 1] as number) : 0;
  if (second < (leastSecond[lead] as number) || second > (mostSecond[lead] as number)) return 0;
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (at + length > bytes.length) return 0;
  for (let next = at + 2; next < at + length; next += 1) if (((bytes[next] as number) & 0xc0) !== 0x80) return 0;
  return length;
}

export function addEncodingEvidence(one: EncodingEvidence, other: EncodingEvidence): EncodingEvidence {
  return {
    validCharacters: one.validCharacters + other.validCharacters,
    invalidBytes: one.invalidBytes + other.invalidBytes,
  };
}

/**
 * UTF-8 unless most of what is not ASCII is malformed as UTF-8: a text field that was cut within a character costs its
 * own row, not the file.
 */
export function decideByteEncoding({ validCharacters, invalidBytes }: EncodingEvidence): Encoding {
  return invalidBytes > validCharacters ? 'windows-1252' : 'utf-8';
}

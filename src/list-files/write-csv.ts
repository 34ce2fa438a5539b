import { stringify } from 'csv-stringify/sync';
import { encode } from 'iconv-lite';
import type { CsvFormat, Encoding } from './list-format.ts';

/** Bytes that Windows-1252 leaves undefined: TextDecoder reads each as the control character of its number. */
const undefinedBytes = /([\u0081\u008D\u008F\u0090\u009D])/;

/** Text in the file's encoding; what Windows-1252 does not have becomes `?`. */
export function encodeText(text: string, encoding: Encoding): Buffer {
  if (encoding === 'utf-8') return Buffer.from(text);
  if (encoding === 'utf-16le') return Buffer.from(text, 'utf16le');
  if (encoding === 'utf-16be') return Buffer.from(text, 'utf16le').swap16();
  if (!undefinedBytes.test(text)) return encode(text, 'windows-1252');
  const parts = text.split(undefinedBytes);
  return Buffer.concat(
    parts.map((part, i) => (i % 2 === 1 ? Buffer.from(part, 'latin1') : encode(part, 'windows-1252'))),
  );
}

/** What stands before the header: the byte order mark and Excel's `sep=` line, if the file has them. */
export function writePreamble({ encoding, byteOrderMark, sepLine, delimiter, lineEnding }: CsvFormat): Buffer {
  return encodeText(`${byteOrderMark ? '\uFEFF' : ''}${sepLine ? `sep=${delimiter}${lineEnding}` : ''}`, encoding);
}

/** Records as bytes, quoted where needed, so that reading them gives the same cells. */
export function writeRecords(records: readonly (readonly string[])[], format: CsvFormat): Buffer {
  const text = stringify(records as string[][], {
    delimiter: format.delimiter,
    record_delimiter: format.lineEnding,
    quoted_match: /[\r\n]/,
  });
  return encodeText(text, format.encoding);
}

import { isUtf8 } from 'node:buffer';
import type { Contract } from '../contract/contract.ts';
import { createFeatureParser } from '../contract/feature-vector.ts';
import type { InputFault } from '../errors.ts';
import { parseStrictJson, StrictJsonError } from '../http/strict-json.ts';
import { isCustomerId } from '../labels/given-customer.ts';
import type { Piece } from './list-format.ts';
import type { ParsedRow, RowFault } from './parsed-row.ts';

/** The object of a line, or the line itself when it is none. */
export type JsonInput = Record<string, unknown> | string;

/** What a list of rejected rows adds to a line; when the mended line comes back it is left out. */
export const rejectedMember = 'rejected';

const maxDepth = 16;

/** Makes the parser of an NDJSON file's pieces: `{ "id", "features", "scale"? }` a line, other members are carried through. */
export function createJsonPieceParser({
  contract,
}: {
  contract: Contract;
}): (piece: Piece) => Iterable<ParsedRow<JsonInput>> {
  const parse = createFeatureParser(contract);

  function toRowFault({ pointer, code, expected }: InputFault): RowFault {
    const last = pointer.slice(pointer.lastIndexOf('/') + 1);
    const named = contract.features[/^\d+$/.test(last) ? Number(last) : -1]?.name;
    const field = named ?? last.replaceAll('~1', '/').replaceAll('~0', '~');
    return { field, column: null, code, ...(expected !== undefined && { expected }) };
  }

  function readLine(line: string, place: { row: number; lineNumber: number }, isSound: boolean): ParsedRow<JsonInput> {
    const refuse = (code: RowFault['code'], expected?: string) => ({
      ...place,
      input: line,
      customerId: null,
      faults: [{ field: 'row', column: null, code, ...(expected !== undefined && { expected }) }],
    });
    if (!isSound && line.includes('\uFFFD')) return refuse('broken_text', 'utf-8');
    const object = readObject(line);
    if (typeof object === 'string') return refuse(object);
    const { [rejectedMember]: _, ...input } = object;
    const { id, features, scale } = input;
    const customerId = isCustomerId(id) ? id : null;
    const parsed = parse({ features, ...(scale !== undefined && { scale }) });
    const faults = 'faults' in parsed ? parsed.faults.map(toRowFault) : [];
    if (customerId === null) faults.unshift({ field: 'id', column: null, code: 'invalid_customer_id' });
    if (customerId === null || !('vector' in parsed)) return { ...place, input, customerId, faults };
    const { vector } = parsed;
    return { ...place, input, customerId, vector, warnings: vector.warnings.map(toRowFault) };
  }

  return function* parsePiece({ bytes, firstLine, firstRow }) {
    const isSound = isUtf8(bytes);
    const lines = bytes.toString('utf8').split(/\r\n|\r|\n/);
    let row = firstRow;
    for (const [i, line] of lines.entries()) {
      if (line === '') continue;
      yield readLine(line, { row, lineNumber: firstLine + i }, isSound);
      row += 1;
    }
  };
}

function readObject(line: string): Record<string, unknown> | 'malformed_json' | 'duplicate_key' {
  try {
    const value = parseStrictJson(line, maxDepth);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : 'malformed_json';
  } catch (error) {
    return error instanceof StrictJsonError && error.fault === 'duplicate_key' ? 'duplicate_key' : 'malformed_json';
  }
}

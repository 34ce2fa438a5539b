import { join } from 'node:path';
import { readContract } from '../../src/contract/contract.ts';
import { ServiceError } from '../../src/errors.ts';
import { createListCutter } from '../../src/list-files/cut-list.ts';
import { detectFormat, emptySurvey, mergeSurveys, surveyDecimals } from '../../src/list-files/detect-format.ts';
import type { GivenFormat, Piece } from '../../src/list-files/list-format.ts';
import { type GivenColumns, mapHeader } from '../../src/list-files/map-header.ts';
import { createCsvPieceParser } from '../../src/list-files/parse-csv-piece.ts';
import type { AcceptedRow, ParsedRow, RefusedRow } from '../../src/list-files/parsed-row.ts';

export const contract = readContract(join(import.meta.dirname, '../../config/rfc_tune/contract.json'));
export const { features } = contract;

interface ReadOptions {
  given?: GivenFormat;
  columns?: GivenColumns;
  /** Sizes of the network's chunks, again and again. */
  chunks?: readonly number[];
  maxRows?: number;
  kind?: 'csv' | 'ndjson';
}

/** Sends the bytes through a cutter in chunks of these sizes. */
export function cutBytes(bytes: Buffer, { chunks = [65_536], kind = 'csv', given, maxRows }: ReadOptions = {}) {
  const cutter = createListCutter({ kind, features, ...(given && { given }), ...(maxRows && { maxRows }) });
  const pieces: Piece[] = [];
  for (let at = 0, i = 0; at < bytes.length; i += 1) {
    const size = chunks[i % chunks.length] as number;
    // Copied, as a network buffer that is used again would be.
    pieces.push(...cutter.push(Buffer.from(bytes.subarray(at, at + size))));
    at += size;
  }
  pieces.push(...cutter.end());
  return { pieces, cutter };
}

/** A whole file, read as a list. @throws ServiceError invalid_list */
export function readList(bytes: Buffer, options: ReadOptions = {}) {
  const { given, columns } = options;
  const { pieces, cutter } = cutBytes(bytes, options);
  const head = cutter.head();
  if (!head) throw new Error('a list that was cut has a header');
  const surveyed = pieces.map(({ bytes }) => surveyDecimals(bytes, { head, features, ...(columns && { columns }) }));
  const decision = detectFormat({
    head,
    encoding: cutter.encoding(),
    survey: surveyed.reduce(mergeSurveys, emptySurvey()),
    ...(given && { given }),
  });
  const mapped = mapHeader(decision.header, { features, ...(columns && { given: columns }) });
  if ('faults' in mapped) throw new ServiceError('invalid_list', { faults: mapped.faults });
  const parse = createCsvPieceParser({ format: decision.format, mapping: mapped.mapping, contract });
  return { pieces, decision, mapping: mapped.mapping, rows: pieces.flatMap((piece) => [...parse(piece)]) };
}

export function isAccepted<Input>(row: ParsedRow<Input> | undefined): row is AcceptedRow<Input> {
  return row !== undefined && 'vector' in row;
}

export function isRefused<Input>(row: ParsedRow<Input> | undefined): row is RefusedRow<Input> {
  return row !== undefined && 'faults' in row;
}

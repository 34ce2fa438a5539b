import { type InputFaultCode, ServiceError } from '../errors.ts';
import type { Piece } from './list-format.ts';

/** The most that one record may have; a file with a larger one is refused. */
export const maxRecordBytes = 1_048_576;
export const maxColumns = 1_000;

export interface CutOptions {
  /** Null: every line is a record, and quotes mean nothing (NDJSON). */
  delimiter: string | null;
  hasHeader: boolean;
  maxRows: number;
  maxBytes: number;
  firstLine: number;
}

export interface RecordCutter {
  /** @throws ServiceError invalid_list with the line of a record that is too long. */
  push(bytes: Buffer): Piece[];
  /** @throws ServiceError invalid_list when a quote is still open. */
  end(): Piece[];
  /** The first record with its line ending, once it was seen. */
  header(): { bytes: Buffer; line: number } | undefined;
}

/** Bytes that can change what the cutter does, but for the first of a cell. */
function marksOf(bytes: readonly number[]): Uint8Array {
  const marks = new Uint8Array(256);
  for (const byte of bytes) if (byte >= 0) marks[byte] = 1;
  return marks;
}

const [lf, cr, quote] = Buffer.from('\n\r"') as unknown as [number, number, number];

/**
 * Cuts bytes into pieces of whole records without reading their cells. A quote opens only at the beginning of a cell, and
 * what is between quotes ends neither cell nor record; CR, LF and CRLF end a record. csv-parse with `relax_quotes` sees
 * the same records. A record that is empty, or `""`, is a blank line.
 */
export function createRecordCutter({ delimiter, hasHeader, maxRows, maxBytes, firstLine }: CutOptions): RecordCutter {
  const isCsv = delimiter !== null;
  const delimiterByte = isCsv ? delimiter.charCodeAt(0) : -1;
  const quoteByte = isCsv ? quote : -1;
  const marks = marksOf([lf, cr, delimiterByte]);
  let header: { bytes: Buffer; line: number } | undefined;

  let quoted = false;
  let afterQuote = false;
  let atCellStart = true;
  let previous = 0;
  let columns = 1;
  let recordLine = firstLine;
  let line = firstLine;
  let recordBytes = 0;
  let beganWithQuote = false;

  let slices: Buffer[] = [];
  let pieceBytes = 0;
  let pieceRows = 0;
  let pieceLine = firstLine;
  let rowsBefore = 0;

  const fault = (code: InputFaultCode, expected?: number) =>
    new ServiceError('invalid_list', {
      faults: [{ pointer: `#/lines/${recordLine}`, code, ...(expected !== undefined && { expected }) }],
    });

  /** @param end of the record with its line ending, in `bytes`; what is before `from` has gone into a piece. */
  function endRecord(bytes: Buffer, from: number, end: number, pieces: Piece[]): number {
    const isBlank = recordBytes === 0 || (recordBytes === 2 && beganWithQuote && isCsv);
    if (recordBytes > maxRecordBytes) throw fault('record_too_long', maxRecordBytes);
    if (columns > maxColumns) throw fault('too_many_columns', maxColumns);
    if (!isBlank) pieceRows += 1;
    const taken =
      (hasHeader && header === undefined && !isBlank) || pieceRows === maxRows || pieceBytes + end - from >= maxBytes;
    const at = recordLine;
    columns = 1;
    recordBytes = 0;
    atCellStart = true;
    beganWithQuote = false;
    recordLine = line;
    if (!taken) return from;
    slices.push(bytes.subarray(from, end));
    pieceBytes += end - from;
    takePiece(pieces, at);
    return end;
  }

  function takePiece(pieces: Piece[], lastRecordLine: number) {
    const bytes = Buffer.concat(slices, pieceBytes);
    const isHeader = hasHeader && header === undefined;
    if (isHeader && pieceRows > 0) header = { bytes, line: lastRecordLine };
    else if (pieceRows > 0) {
      const lines = recordLine - pieceLine;
      pieces.push({ bytes, firstLine: pieceLine, lines, firstRow: rowsBefore, rows: pieceRows });
      rowsBefore += pieceRows;
    }
    slices = [];
    pieceBytes = 0;
    pieceRows = 0;
    pieceLine = recordLine;
  }

  return {
    push(bytes) {
      const pieces: Piece[] = [];
      let from = 0;
      let counted = 0;
      for (let at = 0; at < bytes.length; at += 1) {
        const byte = bytes[at] as number;
        if (quoted) {
          if (byte === quoteByte) {
            quoted = false;
            afterQuote = true;
          } else if (byte === cr || (byte === lf && previous !== cr)) line += 1;
          previous = byte;
          continue;
        }
        if (afterQuote) {
          afterQuote = false;
          if (byte === quoteByte) {
            quoted = true;
            previous = byte;
            continue;
          }
        }
        if (previous === cr) {
          previous = byte;
          const end = byte === lf ? at + 1 : at;
          from = endRecord(bytes, from, end, pieces);
          counted = end;
          if (byte === lf) {
            previous = 0;
            continue;
          }
        }
        if (marks[byte] === 0) {
          if (atCellStart) {
            atCellStart = false;
            if (byte === quoteByte) {
              quoted = true;
              beganWithQuote ||= columns === 1;
            }
          }
          // Nothing but a mark matters up to the end of the cell.
          else while (at + 1 < bytes.length && marks[bytes[at + 1] as number] === 0) at += 1;
          previous = 0;
        } else if (byte === delimiterByte) {
          columns += 1;
          atCellStart = true;
          previous = 0;
        } else {
          recordBytes += at - counted;
          counted = at + 1;
          line += 1;
          if (byte === lf) from = endRecord(bytes, from, at + 1, pieces);
          previous = byte === lf ? 0 : cr;
        }
      }
      recordBytes += bytes.length - counted;
      if (recordBytes > maxRecordBytes) throw fault('record_too_long', maxRecordBytes);
      if (from < bytes.length) {
        slices.push(bytes.subarray(from));
        pieceBytes += bytes.length - from;
      }
      return pieces;
    },
    end() {
      if (quoted) throw fault('quote_not_closed');
      const pieces: Piece[] = [];
      const nothing = Buffer.alloc(0);
      if (previous !== cr && recordBytes > 0) line += 1;
      if (previous === cr || recordBytes > 0) endRecord(nothing, 0, 0, pieces);
      if (pieceBytes > 0) takePiece(pieces, recordLine);
      return pieces;
    },
    header: () => header,
  };
}

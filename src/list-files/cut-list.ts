import type { Feature } from '../contract/contract.ts';
import { ServiceError } from '../errors.ts';
import { createRecordCutter, type RecordCutter } from './cut-records.ts';
import { createUploadDecoder, type UploadDecoder } from './decode-upload.ts';
import {
  addEncodingEvidence,
  decideByteEncoding,
  type EncodingEvidence,
  findEncodingEvidence,
} from './encoding-evidence.ts';
import { type CsvLayout, readCsvLayout } from './csv-layout.ts';
import type { Encoding, GivenFormat, Piece } from './list-format.ts';

export interface EncodingDecision extends EncodingEvidence {
  encoding: Encoding;
  from: 'given' | 'byte_order_mark' | 'zero_bytes' | 'ascii' | 'valid_utf8' | 'invalid_utf8';
  byteOrderMark: boolean;
}

/** What the beginning of a CSV file says. */
export interface CsvHead extends CsvLayout {
  /** The header record with its line ending. */
  header: { bytes: Buffer; line: number };
}

export interface ListCutter {
  /** Whole pieces that are full now. @throws ServiceError invalid_list, naming the line */
  push(bytes: Uint8Array): Piece[];
  /** What is left. @throws ServiceError invalid_list */
  end(): Piece[];
  /** Of a CSV file, once 256 kB and the header or the end were seen. */
  head(): CsvHead | undefined;
  /** By all that was cut so far; final after `end`. */
  encoding(): EncodingDecision;
}

interface ListCutterOptions {
  kind: 'csv' | 'ndjson';
  given?: GivenFormat;
  /** Of the contract: a header with their names tells its delimiter. */
  features?: readonly Pick<Feature, 'name' | 'names'>[];
  maxRows?: number;
  maxBytes?: number;
}

const headBytes = 262_144;

/**
 * Cuts an upload into pieces of whole records while it streams in, holding one piece and reading no cell. UTF-16 becomes
 * UTF-8; other bytes stay as they are, and only the end tells UTF-8 from Windows-1252.
 */
export function createListCutter(options: ListCutterOptions): ListCutter {
  const { kind, given = {}, features = [], maxRows = 4_096, maxBytes = 4_194_304 } = options;
  const waiting: Buffer[] = [];
  let waitingBytes = 0;
  let started: { decoder: UploadDecoder; records: RecordCutter; layout: CsvLayout | undefined } | undefined;
  let evidence: EncodingEvidence = { validCharacters: 0, invalidBytes: 0 };
  let sawHeader = false;
  let sawRows = false;

  function start(isWhole: { isWhole: boolean }) {
    const beginning = Buffer.concat(waiting.splice(0), waitingBytes);
    const decoder = createUploadDecoder(beginning, given.encoding);
    const bytes = decoder.decode(beginning);
    const layout = kind === 'csv' ? readCsvLayout(bytes, { given, features, ...isWhole }) : undefined;
    const records = createRecordCutter({
      delimiter: layout?.delimiter.delimiter ?? null,
      hasHeader: layout !== undefined,
      maxRows,
      maxBytes,
      firstLine: layout?.sepLine ? 2 : 1,
    });
    started = { decoder, layout, records };
    return { ...started, pieces: records.push(bytes.subarray(layout?.sepLineBytes ?? 0)) };
  }

  function see(pieces: Piece[]): Piece[] {
    const header = started?.records.header();
    if (header && !sawHeader) evidence = addEncodingEvidence(evidence, findEncodingEvidence(header.bytes));
    sawHeader ||= header !== undefined;
    sawRows ||= pieces.length > 0;
    for (const { bytes } of pieces) evidence = addEncodingEvidence(evidence, findEncodingEvidence(bytes));
    return pieces;
  }

  return {
    push(uploaded) {
      const bytes = Buffer.from(uploaded.buffer, uploaded.byteOffset, uploaded.byteLength);
      if (started) return see(started.records.push(started.decoder.decode(bytes)));
      waiting.push(bytes);
      waitingBytes += bytes.length;
      return waitingBytes < headBytes ? [] : see(start({ isWhole: false }).pieces);
    },
    end() {
      const { decoder, records, pieces } = started ? { ...started, pieces: [] } : start({ isWhole: true });
      see([...pieces, ...records.push(decoder.flush())]);
      const last = see(records.end());
      if (!sawHeader && !sawRows)
        throw new ServiceError('invalid_list', { faults: [{ pointer: '#', code: 'list_empty' }] });
      return [...pieces, ...last];
    },
    head() {
      const header = started?.records.header();
      return started?.layout && header ? { ...started.layout, header } : undefined;
    },
    encoding() {
      const { encoding, from, byteOrderMark = false } = started?.decoder ?? {};
      if (encoding && from) return { encoding, from, byteOrderMark, ...evidence };
      const isAscii = evidence.validCharacters + evidence.invalidBytes === 0;
      const decided = kind === 'ndjson' ? 'utf-8' : decideByteEncoding(evidence);
      const why = isAscii ? 'ascii' : decided === 'utf-8' ? 'valid_utf8' : 'invalid_utf8';
      return { encoding: decided, from: why, byteOrderMark, ...evidence };
    },
  };
}

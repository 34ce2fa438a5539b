import { parentPort, threadId } from 'node:worker_threads';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import type { Contract } from '../contract/contract.ts';
import { surveyDecimals } from '../list-files/detect-format.ts';
import { tallyRows } from '../list-files/list-report.ts';
import type { Piece } from '../list-files/list-format.ts';
import { createCsvPieceParser } from '../list-files/parse-csv-piece.ts';
import { createJsonPieceParser } from '../list-files/parse-json-piece.ts';
import type { ParsedRow } from '../list-files/parsed-row.ts';
import { writeRejected, writeResults } from './write-chunk.ts';
import { countRepeats, hashCustomers } from './customer-hashes.ts';
import type { ChunkFeatures, ChunkRows } from './chunk-rows.ts';
import type { ListPlan } from './list-plan.ts';
import type { HeldRows, ListWork, PackedPiece } from './list-thread.ts';
import { prepareLabels, type ReadRows } from './prepare-labels.ts';
import { readStoredRows, unpackIds } from './stored-rows.ts';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

const works: { [Name in keyof ListWork]: (given: ListWork[Name]['given']) => Promise<ListWork[Name]['done']> } = {
  async pack({ bytes, survey }) {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return { body: await compress(buffer), survey: survey && surveyDecimals(buffer, asBuffers(survey)) };
  },
  async read({ piece, plan, contract }) {
    return hold(packRows(await parse(piece, plan, contract), contract.features.length, piece), contract);
  },
  readStored: async ({ idsJson, stored, contract }) => hold(readStoredRows(idsJson, stored, contract), contract),
  async prepare({ token, ...scored }) {
    const chunk = held.get(token);
    if (!chunk) throw new Error('the rows ended with the thread that held them');
    return prepareLabels(chunk, scored);
  },
  async forget(token) {
    held.delete(token);
  },
  async tally({ piece, plan, contract }) {
    const rows = [...(await parse(piece, plan, contract))];
    const ids = rows.flatMap((row) => ('vector' in row ? [row.customerId] : []));
    return { tally: tallyRows(rows), customerHashes: hashCustomers(ids) };
  },
  countRepeats: async ({ hashes }) => countRepeats(hashes),
  write: async (given) => writeResults([...(await readInputs(given))], given),
  writeRejected: async (given) => writeRejected([...(await readInputs(given))], given),
};

/** What came through a message is no Buffer any more. */
function asBuffers(survey: NonNullable<ListWork['pack']['given']['survey']>) {
  const { header } = survey.head;
  return { ...survey, head: { ...survey.head, header: { ...header, bytes: Buffer.from(header.bytes) } } };
}

/** Rows that are being scored: what the labels need of them need not go to and fro. */
const held = new Map<string, ReadRows>();
let lastToken = 0;

function hold(rows: ChunkRows, readBy: Contract): HeldRows {
  lastToken += 1;
  // Of this thread alone: a token of one that ended must not mean other rows
  const token = `${threadId}-${lastToken}`;
  held.set(token, { rows, readBy });
  const { count, scales, given, standardized } = rows.accepted;
  return { token, features: { count, scales, given, ...toJson(standardized, count) } };
}

/** The standardised rows as they stand in a request's body: written here, a call of 4,096 holds nobody up. */
function toJson(standardized: Float64Array, count: number): Pick<ChunkFeatures, 'json' | 'ends'> {
  const width = standardized.length / count;
  const ends = new Uint32Array(count);
  let end = -1;
  const rows = Array.from({ length: count }, (_, i) => {
    const row = `[${standardized.subarray(i * width, (i + 1) * width).join(',')}]`;
    end += row.length + 1;
    ends[i] = end;
    return row;
  });
  return { json: rows.join(','), ends };
}

/** The rows as they came: what is in them was read when they were labelled, perhaps by another contract. */
function readInputs({ piece, plan, contract }: ListWork['write']['given']) {
  const mapping = plan.kind === 'csv' && { mapping: { ...plan.mapping, featureColumns: [] } };
  return parse(piece, { ...plan, ...mapping }, { ...contract, features: [] });
}

async function parse(piece: PackedPiece, plan: ListPlan, contract: Contract): Promise<Iterable<ParsedRow<never>>> {
  if (plan.kind === 'stored') {
    const ids = JSON.parse(await unpackIds(piece.body)) as string[];
    return ids.map((customerId, row) => ({
      row,
      lineNumber: row + 1,
      customerId,
      input: { customerId } as never,
      faults: [],
    }));
  }
  const unpacked: Piece = { ...piece, bytes: await decompress(piece.body) };
  const rows =
    plan.kind === 'csv'
      ? createCsvPieceParser({ format: plan.format, mapping: plan.mapping, contract })(unpacked)
      : createJsonPieceParser({ contract })(unpacked);
  return rows as Iterable<ParsedRow<never>>;
}

/** Row by row, so that what a row was read from is gone before the next one. */
function packRows(
  parsed: Iterable<ParsedRow<unknown>>,
  width: number,
  { firstRow, rows: most }: PackedPiece,
): ChunkRows {
  const given = new Float64Array(most * width);
  const standardized = new Float64Array(most * width);
  const accepted: Omit<ChunkRows['accepted'], 'given' | 'standardized'> = {
    count: 0,
    rows: [],
    lineNumbers: [],
    customerIds: [],
    scales: [],
  };
  const refused: ChunkRows['refused'] = [];
  for (const one of parsed) {
    const row = one.row - firstRow;
    if (!('vector' in one)) {
      refused.push({ row, lineNumber: one.lineNumber, customerId: one.customerId, faults: one.faults });
      continue;
    }
    given.set(one.vector.given, accepted.count * width);
    standardized.set(one.vector.standardized, accepted.count * width);
    accepted.rows.push(row);
    accepted.lineNumbers.push(one.lineNumber);
    accepted.customerIds.push(one.customerId);
    accepted.scales.push(one.vector.scale);
    accepted.count += 1;
  }
  const numbers = accepted.count * width;
  return {
    accepted: { ...accepted, given: given.slice(0, numbers), standardized: standardized.slice(0, numbers) },
    refused,
  };
}

parentPort?.on('message', ({ id, name, given }: { id: number; name: keyof ListWork; given: never }) => {
  works[name](given).then(
    (done) => parentPort?.postMessage({ id, done }),
    (error: unknown) => parentPort?.postMessage({ id, error: String((error as Error).stack) }),
  );
});

import { createHash } from 'node:crypto';
import type { Contract } from '../contract/contract.ts';
import type { Scale } from '../contract/feature-vector.ts';
import { ServiceError } from '../errors.ts';
import { createListCutter, type ListCutter } from '../list-files/cut-list.ts';
import { detectFormat, emptySurvey, mergeSurveys } from '../list-files/detect-format.ts';
import type { GivenFormat, Piece } from '../list-files/list-format.ts';
import { mapHeader } from '../list-files/map-header.ts';
import type { BatchReport } from './batch-report.ts';
import { type ListPlan, namesOf } from './list-plan.ts';
import type { ListThread, PackedPiece } from './list-thread.ts';

/** A list as somebody sends it. */
export interface Upload {
  bytes: AsyncIterable<Uint8Array>;
  kind: 'csv' | 'ndjson';
  /** What the caller says of the file. */
  given: GivenFormat & { scale?: Scale };
}

export interface ReadUpload {
  plan: ListPlan;
  report: BatchReport;
  /** SHA-256 of the bytes and of what was said of them. */
  hash: Buffer;
  rows: number;
}

interface ReadUploadOptions {
  thread: ListThread;
  contract: Contract;
  maxRows: number;
  keep(piece: PackedPiece, number: number): Promise<void>;
}

/** Pieces that are packed and kept while the next one is cut; with more of them the upload waits. */
const piecesInHand = 3;
/** Of each piece, what is looked at together for the decimal sign. */
const surveyedRows = 2_000;

/**
 * Takes a list piece by piece as it streams in, holding few of them, and decides at its end how it is to be read.
 * @throws ServiceError invalid_list, too_many_customers, and what `keep` throws
 */
export async function readUpload(upload: Upload, options: ReadUploadOptions): Promise<ReadUpload> {
  const { thread, contract, maxRows, keep } = options;
  const { kind, given } = upload;
  const cutter = createListCutter({ kind, given, features: contract.features });
  const hash = createHash('sha256').update(JSON.stringify([kind, given]));
  const inHand = new Set<Promise<void>>();
  let survey = emptySurvey();
  let failure: { error: unknown } | undefined;
  let rows = 0;
  let pieces = 0;

  async function pack(piece: Piece, number: number) {
    const head = cutter.head();
    const wanted = head && { head, features: contract.features, rowsAtOnce: surveyedRows };
    const { bytes, ...place } = piece;
    const packed = await thread.do('pack', { bytes, survey: wanted });
    if (packed.survey) survey = mergeSurveys(survey, packed.survey);
    await keep({ ...place, body: packed.body }, number);
  }

  async function take(cut: Piece[]) {
    for (const piece of cut) {
      rows += piece.rows;
      if (rows > maxRows) throw new ServiceError('too_many_customers');
      const work = pack(piece, pieces)
        .catch((error: unknown) => {
          failure ??= { error };
        })
        .finally(() => inHand.delete(work));
      pieces += 1;
      inHand.add(work);
      if (inHand.size >= piecesInHand) await Promise.race(inHand);
      if (failure) throw failure.error;
    }
  }

  try {
    for await (const bytes of upload.bytes) {
      hash.update(bytes);
      await take(cutter.push(bytes));
    }
    await take(cutter.end());
  } finally {
    await Promise.all(inHand);
  }
  if (failure) throw failure.error;
  return { ...decide(upload, cutter, { contract, survey, rows }), hash: hash.digest(), rows };
}

/** The hash of an upload that is not read: whether it is the same as another one. */
export async function hashUpload({ bytes, kind, given }: Upload): Promise<Buffer> {
  const hash = createHash('sha256').update(JSON.stringify([kind, given]));
  for await (const part of bytes) hash.update(part);
  return hash.digest();
}

function decide(
  { kind, given }: Upload,
  cutter: ListCutter,
  { contract, survey, rows }: { contract: Contract; survey: ReturnType<typeof emptySurvey>; rows: number },
): Pick<ReadUpload, 'plan' | 'report'> {
  const featureNames = namesOf(contract);
  const head = cutter.head();
  if (kind === 'ndjson' || head === undefined)
    return { plan: { kind: 'ndjson', featureNames }, report: { decision: null, mapping: null } };
  const decision = detectFormat({ head, encoding: cutter.encoding(), survey, given });
  const mapped = mapHeader(decision.header, {
    features: contract.features,
    ...(given.scale && { scale: given.scale }),
  });
  const faults = 'faults' in mapped ? mapped.faults : [];
  if (rows === 0) faults.push({ pointer: '#', code: 'list_empty' });
  if (faults.length > 0 || !('mapping' in mapped)) throw new ServiceError('invalid_list', { faults });
  const { mapping } = mapped;
  return { plan: { kind: 'csv', featureNames, format: decision.format, mapping }, report: { decision, mapping } };
}

import type { Contract } from '../contract/contract.ts';
import { ServiceError } from '../errors.ts';
import { describeList, mergeTallies, tallyRows } from '../list-files/list-report.ts';
import type { Locale } from '../locale.ts';
import { countDuplicates } from './customer-hashes.ts';
import type { ListThread, PackedPiece } from './list-thread.ts';
import { readUpload, type Upload } from './read-upload.ts';
import { openScratchFile, type Place } from './scratch-file.ts';

interface DryRunOptions {
  thread: ListThread;
  contract: Contract;
  maxRows: number;
  locale: Locale;
  /** Aborted when nobody waits for the report any more. */
  left: AbortSignal;
}

/** What would become of a list; nothing is kept. What is read twice waits in a file: memory does not grow with the list. */
export async function dryRun(
  upload: Upload,
  { thread, contract, maxRows, locale, left }: DryRunOptions,
): Promise<ReturnType<typeof describeList>> {
  await using scratch = await openScratchFile();
  const pieces: (Omit<PackedPiece, 'body'> & { body: Place })[] = [];
  const keep = async (piece: PackedPiece, number: number) => {
    pieces[number] = { ...piece, body: await scratch.keep(piece.body) };
  };
  const { plan, report, rows } = await readUpload(upload, { thread, contract, maxRows, keep });

  let tally = tallyRows([]);
  const hashes: Place[] = [];
  for (const { body, ...piece } of pieces) {
    if (left.aborted) throw new ServiceError('malformed_request', { reason: 'the caller left' });
    const packed = { ...piece, body: await scratch.read(body) };
    const found = await thread.do('tally', { piece: packed, plan, contract });
    tally = mergeTallies(tally, found.tally);
    hashes.push(await scratch.keep(found.customerHashes));
  }
  async function* readHashes() {
    for (const place of hashes) yield await scratch.read(place);
  }
  const duplicates = await countDuplicates(readHashes, rows, (some) => thread.do('countRepeats', { hashes: some }));
  const { decision, mapping } = report;
  const csv = decision && mapping && { decision, mapping };
  return describeList(tally, { contract, duplicates, locale, ...(csv && { csv }) });
}

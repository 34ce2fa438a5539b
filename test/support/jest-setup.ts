import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Before all suites: where the run's trained model is kept for all of them. */
export default function setUp(): void {
  process.env['TRAINED_HOME'] = mkdtempSync(join(tmpdir(), 'trained-'));
}

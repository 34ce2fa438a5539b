import { rmSync } from 'node:fs';

/** After all suites. */
export default function tearDown(): void {
  rmSync(process.env['TRAINED_HOME'] as string, { recursive: true, force: true });
}

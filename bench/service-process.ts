import { spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stopProcess, untilPrinted } from '../test/support/real-mlflow.ts';

/** The service as `npm start` starts it, or another script in its place, with API keys, and its log at info going to a file. */
export async function startService(environment: Record<string, string>, script?: string) {
  const folder = mkdtempSync(join(tmpdir(), 'bench-service-'));
  const log = openSync(join(folder, 'service.log'), 'w');
  const child = spawn(process.execPath, startWords(script), {
    detached: true,
    stdio: ['ignore', 'pipe', log],
    env: { ...process.env, ...environment, PORT: '0', ACCESS: 'own', LOG_LEVEL: 'info' },
  });
  const printed = await untilPrinted(child, /Label a customer/);
  return {
    process: child,
    url: /listening on (\S+)/.exec(printed)?.[1] as string,
    key: /shown only now: +(\S+)/.exec(printed)?.[1] as string,
    async [Symbol.asyncDispose]() {
      await stopProcess(child);
      rmSync(folder, { recursive: true });
    },
  };
}

function startWords(script?: string): string[] {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: { start: string } };
  const words = scripts.start.split(' ').slice(1);
  return script === undefined ? words : [...words.slice(0, -1), script];
}

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { untilPrinted } from './real-mlflow.ts';

export interface ServiceProcess {
  process: ChildProcess;
  url: string;
  /** Both of its streams so far. */
  log(): string;
  /** Sends a signal and waits for the end. @returns exit status (null after a signal ended it) and how long it took */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<{ status: number | null; seconds: number }>;
}

/** Starts services of a suite, and ends those that a test that failed left behind. */
export function createServiceStarter() {
  const started: ServiceProcess[] = [];
  return {
    async start(environment: Record<string, string>): Promise<ServiceProcess> {
      const service = await startServiceProcess(environment);
      started.push(service);
      return service;
    },
    async endAll(): Promise<void> {
      await Promise.all(started.splice(0).map((service) => service.end('SIGKILL')));
    },
  };
}

/** The service in a process of its own, as `npm start` starts it. */
async function startServiceProcess(environment: Record<string, string>): Promise<ServiceProcess> {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: { start: string } };
  const child = spawn(process.execPath, scripts.start.split(' ').slice(1), {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, LOG_LEVEL: 'warn', PORT: '0', ...environment },
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (log += chunk.toString()));
  const exited = once(child, 'exit') as Promise<[number | null]>;

  async function end(signal: 'SIGTERM' | 'SIGKILL') {
    const beganAt = performance.now();
    child.kill(signal);
    const [status] = await exited;
    return { status, seconds: (performance.now() - beganAt) / 1_000 };
  }
  try {
    const printed = await untilPrinted(child, /Label a customer/);
    return {
      process: child,
      url: /listening on (\S+)/.exec(printed)?.[1] as string,
      log: () => log,
      end,
    };
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}

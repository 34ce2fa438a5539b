/**
 * Runs a README as its reader would, in the folder that it is about: node .ci/readme.ts README.md
 * Every ```sh block is run by bash, in order. `npm start` at the end of one is left running and waited for; the one
 * started before is stopped first. A ```json or ```text block directly after a ```sh block is what it has to print.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';

interface Fence {
  kind: string;
  content: string;
  /** Where it stands in the file, from 1. */
  line: number;
}
type Block = Fence & { expected: Fence | null };

interface Group {
  process: ChildProcess;
  read(kind: 'out' | 'err'): string;
}

const readyUrl = 'http://127.0.0.1:3000/ready';
const blockTimeoutMs = 600_000;
const startTimeoutMs = 60_000;
const stopTimeoutMs = 30_000;
const pollMs = 100;
const shownLines = 30;

const startCommand = /(?:^|\n|&&)[ \t]*((?:\w+=\S*[ \t]+)*npm start)$/;

/** Values that differ from run to run, and what stands for them in a comparison. */
const volatile: [RegExp, string][] = [
  [/\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z?/g, '(time)'],
  [/\b[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}\b/g, '(id)'],
  [/\bcl_([\w-]{43}|…)/g, '(key)'],
  [/\b\d+\.\d+\.\d+\b(?!\.)/g, '(version)'],
  [/("version": ?)"\d+"/g, '$1"(version)"'],
  [/("probability": ?)[01]\.\d+/g, '$1 0'],
];

/** The sh blocks of a Markdown text, each with the answer that directly follows it. */
function readBlocks(markdown: string): Block[] {
  const found = [...markdown.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map((match) => {
    const [whole, kind = '', content = ''] = match;
    const line = markdown.slice(0, match.index).split('\n').length;
    return { fence: { kind, content, line }, start: match.index, end: match.index + whole.length };
  });
  return found.flatMap(({ fence, end }, i): Block[] => {
    if (fence.kind !== 'sh') return [];
    const next = found[i + 1];
    const follows = next !== undefined && markdown.slice(end, next.start).trim() === '';
    const isAnswer = follows && ['json', 'text'].includes(next.fence.kind);
    return [{ ...fence, expected: isAnswer ? next.fence : null }];
  });
}

/** Starts processes in groups of their own, and ends whatever is left of them. */
function createGroups() {
  const folder = mkdtempSync(join(tmpdir(), 'readme-'));
  const groups = new Set<Group>();
  let count = 0;

  async function stop(group: Group) {
    groups.delete(group);
    signal(group, 'SIGTERM');
    const deadline = Date.now() + stopTimeoutMs;
    while (signal(group, 0) && Date.now() < deadline) await sleep(pollMs);
    if (signal(group, 'SIGKILL')) say(`    had to be killed: process group ${group.process.pid}`);
  }

  return {
    start(script: string): Group {
      const file = join(folder, String((count += 1)));
      // Files, not pipes: what a block leaves in the background would keep a pipe open.
      const out = openSync(`${file}.out`, 'w');
      const err = openSync(`${file}.err`, 'w');
      const child = spawn('bash', ['-euo', 'pipefail', '-c', script], { detached: true, stdio: ['ignore', out, err] });
      closeSync(out);
      closeSync(err);
      const read = (kind: 'out' | 'err') => readFileSync(`${file}.${kind}`, 'utf8');
      const group: Group = { process: child, read };
      groups.add(group);
      return group;
    },
    stop,
    async stopAll() {
      for (const group of [...groups].toReversed()) await stop(group);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** @returns whether anybody of the group was there to get it. */
function signal({ process: { pid } }: Group, name: 'SIGTERM' | 'SIGKILL' | 0): boolean {
  try {
    return pid !== undefined && process.kill(-pid, name);
  } catch {
    return false;
  }
}

/** A block that does not do what the README says. */
class Difference extends Error {
  override name = 'Difference';
}

async function runReadme(file: string) {
  const blocks = readBlocks(readFileSync(file, 'utf8'));
  const groups = createGroups();
  let service: Group | undefined;

  async function run(script: string): Promise<Group> {
    const group = groups.start(script);
    const timer = setTimeout(() => void groups.stop(group), blockTimeoutMs);
    const [status] = (await once(group.process, 'exit').finally(() => clearTimeout(timer))) as [number | null];
    if (status !== 0) throw new Difference(`it ended with ${status ?? 'a signal'}\n${tail(group)}`);
    return group;
  }

  async function startService(command: string) {
    if (service) await groups.stop(service);
    if (await answers()) throw new Difference(`something else answers at ${readyUrl}`);
    service = groups.start(command);
    const deadline = Date.now() + startTimeoutMs;
    while (!(await answers())) {
      if (service.process.exitCode !== null) throw new Difference(`npm start ended\n${tail(service)}`);
      if (Date.now() > deadline) throw new Difference(`not ready after ${startTimeoutMs} ms\n${tail(service)}`);
      await sleep(pollMs);
    }
  }

  for (const ending of ['SIGINT', 'SIGTERM'] as const)
    process.once(ending, () => void groups.stopAll().then(() => process.exit(130)));
  try {
    for (const { content, line, expected } of blocks) {
      const startedAt = performance.now();
      const script = content.trim().replaceAll(/\\\n\s*/g, '');
      const start = startCommand.exec(script);
      try {
        const printed = (await run(start ? script.slice(0, start.index) : content)).read('out');
        if (start?.[1]) await startService(start[1]);
        if (expected) compare(printed, expected);
      } catch (error) {
        if (error instanceof Difference) error.message = `${file}:${line}: ${error.message}\n\n${content}`;
        throw error;
      }
      const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
      const verdict = expected ? `answers as line ${expected.line} says` : start ? 'is ready' : 'runs';
      say(`ok  ${file}:${line}  ${verdict}, ${seconds} s`);
    }
  } finally {
    await groups.stopAll();
  }
  say(`${blocks.length} blocks of ${file} ran`);
}

async function answers(): Promise<boolean> {
  const reply = await fetch(readyUrl).catch(() => null);
  await reply?.body?.cancel();
  return reply?.status === 200;
}

function compare(printed: string, { kind, content }: Fence) {
  const [seen, wanted] = [withoutVolatile(printed), withoutVolatile(content)];
  const isSame = seen === wanted || (kind === 'json' && isDeepStrictEqual(parse(seen), parse(wanted)));
  if (!isSame) throw new Difference(`it printed\n${printed}\nand not\n${content}`);
}

function withoutVolatile(text: string): string {
  return volatile.reduce((rest, [value, shape]) => rest.replaceAll(value, shape), text).trim();
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw new Difference(`this is not JSON:\n${json}`);
  }
}

function tail({ read }: Group): string {
  return [...read('out').split('\n'), ...read('err').split('\n')].slice(-shownLines).join('\n');
}

function say(line: string) {
  process.stdout.write(`${line}\n`);
}

try {
  await runReadme(process.argv[2] ?? 'README.md');
} catch (error) {
  const text = error instanceof Difference ? error.message : error instanceof Error ? error.stack : error;
  process.stderr.write(`not ok  ${String(text)}\n`);
  process.exitCode = 1;
}

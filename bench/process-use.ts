import { readdirSync, readFileSync } from 'node:fs';

export interface ProcessUse {
  /** Processor time so far, of all threads. */
  cpuMs: number;
  residentMb: number;
}

const ticksPerSecond = 100;
const pageBytes = 4_096;

/** What a process and everything it started use now (Linux: /proc). */
export function useOf(rootPid: number): ProcessUse {
  const processes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap(readStat);
  const family = new Set([rootPid]);
  for (let size = 0; size !== family.size;) {
    size = family.size;
    for (const { pid, parent } of processes) if (family.has(parent)) family.add(pid);
  }
  const members = processes.filter(({ pid }) => family.has(pid));
  return {
    cpuMs: members.reduce((sum, { ticks }) => sum + (ticks / ticksPerSecond) * 1_000, 0),
    residentMb: members.reduce((sum, { pages }) => sum + (pages * pageBytes) / 1e6, 0),
  };
}

/** Processor time so far of every process of this name, such as PostgreSQL's, which nobody here has started. */
export function cpuMsOf(processName: string): number {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap(readStat)
    .filter(({ command }) => command === processName)
    .reduce((sum, { ticks }) => sum + (ticks / ticksPerSecond) * 1_000, 0);
}

function readStat(name: string) {
  try {
    const text = readFileSync(`/proc/${name}/stat`, 'utf8');
    // the name, in parentheses, may hold spaces: fields are counted from behind it
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [parent, utime, stime, pages] = [fields[1], fields[11], fields[12], fields[21]] as [
      number,
      number,
      number,
      number,
    ];
    const command = text.slice(text.indexOf('(') + 1, text.lastIndexOf(')'));
    return [{ pid: Number(name), command, parent, ticks: utime + stime, pages }];
  } catch {
    return [];
  }
}

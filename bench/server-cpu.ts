import { readdirSync, readFileSync } from 'node:fs'

/** The kernel counts in hundredths of a second. */
const MICROS_PER_TICK = 10_000

/** @returns microseconds of CPU that a server and the processes it made have used, also those that ended; 0 where there is no /proc */
export function serverCpuMicros(pids: readonly number[]): number {
  try {
    const all = readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? (statOf(name) ?? []) : []))
    const family = new Set(pids)
    for (const { pid, parent } of all) if (family.has(parent)) family.add(pid)
    const ticks = all.filter(({ pid }) => family.has(pid)).reduce((sum, stat) => sum + stat.ticks, 0)
    return ticks * MICROS_PER_TICK
  } catch {
    return 0
  }
}

function statOf(pid: string): { readonly pid: number; readonly parent: number; readonly ticks: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in parentheses may hold anything; what follows it has a fixed order, the state first.
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number)
    const ticks = (fields[11] ?? 0) + (fields[12] ?? 0) + (fields[13] ?? 0) + (fields[14] ?? 0)
    return { pid: Number(pid), parent: fields[1] ?? 0, ticks }
  } catch {
    return undefined
  }
}

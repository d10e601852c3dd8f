import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/**
 * When a process began, as an opaque text: the same pid with another text is another process.
 *
 * A pid alone names nothing for long, because systems hand it out again.
 *
 * @returns `undefined` when no such process runs
 */
export async function processStart(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') return await linuxStart(pid)
  try {
    const { stdout } = await run('ps', ['-o', 'lstart=', '-p', String(pid)])
    return stdout.trim() || undefined
  } catch {
    return undefined
  }
}

async function linuxStart(pid: number): Promise<string | undefined> {
  try {
    const [stat, boot] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'utf8'),
      readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => ''),
    ])
    // The command's name may hold blanks and brackets, so the fields are counted from its closing one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state] = fields
    if (state === 'Z' || state === 'X') return undefined
    return `${boot.trim()}:${fields[19] ?? ''}`
  } catch {
    return undefined
  }
}

/** Whether the process that had this pid at that start still runs. */
export async function isRunning(pid: number, start: string): Promise<boolean> {
  return (await processStart(pid)) === start
}

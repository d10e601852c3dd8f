import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** As the kernel names it: established. */
const ESTABLISHED = '01'
/** The timer of a connection that has nothing to send and is probed. */
const PROBING = '02'
const TICK_MS = 10

export const canSeeSockets = process.platform === 'linux'

/**
 * The open connections of this process to a port.
 *
 * @returns for each, after how long the kernel probes whether the other side still lives; `undefined` when it never does
 */
export function probedAfterMs(port: number): readonly (number | undefined)[] {
  const own = ownInodes()
  const rows = ['tcp', 'tcp6'].flatMap((kind) => readFileSync(`/proc/self/net/${kind}`, 'utf8').trim().split('\n').slice(1))
  return rows.flatMap((row) => {
    const [, , remote = '', state, , timer = '', , , , inode = ''] = row.trim().split(/\s+/)
    if (state !== ESTABLISHED || !own.has(inode) || Number.parseInt(remote.split(':')[1] ?? '', 16) !== port) return []
    const [kind, ticks = ''] = timer.split(':')
    return [kind === PROBING ? Number.parseInt(ticks, 16) * TICK_MS : undefined]
  })
}

function ownInodes(): ReadonlySet<string> {
  const links = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)]
    } catch {
      // The one that this list itself was read by.
      return []
    }
  })
  return new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []))
}

import { accessSync, constants } from 'node:fs'

/** Half of it is too little for rows in flight: V8 keeps them all. Twice as much is 26 MB more (docs/decisions/024). */
const SEMI_SPACE_MEGABYTES = 4
/**
 * By how much what lasted may have grown before all is looked through. Left alone V8 waits until as much again is dead, and
 * buffers with it: 15 to 25 MB (docs/decisions/024).
 */
const GROWING_PERCENT = 20
/** Memory that another thread gave back is used again: 20 MB less. Other systems than Linux with glibc do not look at it. */
const ENVIRONMENT = { MALLOC_ARENA_MAX: '1' }
/** As V8 reads it, in whatever way it is written. */
const GIVEN = /max[-_]semi[-_]space[-_]size/

/** Holds the number of a process that is started again, until it is. */
const MARK = 'TRUNKLINE_STARTED_AGAIN'

/**
 * Starts this process again, once, with limits to what Node lets objects grow to: same number, arguments, environment and
 * streams. V8 takes the one for short-lived objects only at its start, and without it up to 128 MB of a relay's memory.
 *
 * Nothing happens where somebody gave a limit, in NODE_OPTIONS or on the command line; where a parent listens on a
 * channel, which would end; and where it cannot be done, on Windows or without /proc, or must not, with Node's permission
 * model.
 */
export function startWithSmallHeap(): void {
  const { argv, argv0, execArgv, execPath, env, permission, pid } = process
  // Something that is loaded before may change the list of Node's arguments: that must not make it start for ever.
  const wasStarted = env[MARK] === String(pid)
  delete env[MARK]
  const isGiven = GIVEN.test(`${env['NODE_OPTIONS'] ?? ''} ${execArgv.join(' ')}`)
  const mayNot = process.platform === 'win32' || permission?.has('child') === false
  if (wasStarted || isGiven || mayNot || process.channel !== undefined || process.execve === undefined) return
  // Where it fails Node aborts.
  if (!isProgram(execPath)) return
  // Of a limit that stands twice the second one counts: somebody's own.
  const own = [`--max-semi-space-size=${SEMI_SPACE_MEGABYTES}`, `--heap-growing-percent=${GROWING_PERCENT}`]
  const args = [argv0, ...own, ...execArgv, ...argv.slice(1)]
  // Node tells the user that this is experimental a moment later, and by then this program is over.
  process.execve(execPath, args, { ...ENVIRONMENT, ...env, [MARK]: String(pid) })
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

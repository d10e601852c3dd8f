import { type ChildProcess, spawn } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import type { Owner } from './server-owner.ts'
import type { Watchdog } from './watchdog.ts'

export interface ToolParts {
  readonly watchdog: Watchdog
  readonly signal: AbortSignal | undefined
}

export interface ToolOptions {
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  readonly withinMs: number
  /** The OS user it runs as, when not ours. */
  readonly owner?: Owner | undefined
}

export interface ToolResult {
  readonly code: number | null
  readonly output: string
}

/**
 * Runs a tool to its end, or until the signal; it does not outlive us.
 *
 * @returns how it ended; `'absent'` when there is no such program
 */
export async function runTool(
  { watchdog, signal }: ToolParts,
  command: string,
  args: readonly string[],
  options: ToolOptions,
): Promise<ToolResult | 'absent'> {
  signal?.throwIfAborted()
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options.owner,
  })
  const ended = outcomeOf(child)
  const release = child.pid === undefined ? undefined : await watchdog.chargeProcess(child.pid, 'SIGKILL', 1_000)
  const end = (): void => void child.kill('SIGKILL')
  const timer = setTimeout(end, options.withinMs)
  signal?.addEventListener('abort', end)
  try {
    const result = await ended
    signal?.throwIfAborted()
    return result
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', end)
    release?.()
  }
}

async function outcomeOf(child: ChildProcess): Promise<ToolResult | 'absent'> {
  let output = ''
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-4_000)
  }
  child.stdout?.on('data', keep)
  child.stderr?.on('data', keep)
  return await new Promise((resolve, reject) => {
    child.once('error', (error) => ('code' in error && error.code === 'ENOENT' ? resolve('absent') : reject(error)))
    child.once('close', (code) => resolve({ code, output }))
  })
}

/** Whether PATH has a program of that name, without starting it. */
export async function isOnPath(command: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  const folders = (env['PATH'] ?? '').split(delimiter).filter(Boolean)
  const found = await Promise.all(
    folders.map((folder) =>
      access(join(folder, command), constants.X_OK).then(
        () => true,
        () => false,
      ),
    ),
  )
  return found.includes(true)
}

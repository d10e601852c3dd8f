import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))
const LOOK_EVERY_MS = 250

/**
 * Starts one of `programs/` in a process of its own, so that its memory is its own, and on the built package, as a
 * service of a user's runs: where Node strips the types of sources itself, that alone takes 28 MB.
 */
export async function startProgram(name: string, plan: object): Promise<ChildProcess> {
  const code = stripTypeScriptTypes(await readFile(new URL(`./programs/${name}.ts`, import.meta.url), 'utf8'))
  const args = ['--input-type=module', '--eval', code, '--', JSON.stringify(plan)]
  return spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
}

/** Starts the command line as it is installed. */
export function startCommand(args: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
  const bin = fileURLToPath(new URL('../dist/faces/cli/bin.js', import.meta.url))
  return spawn(process.execPath, [bin, ...args], { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'inherit'] })
}

/** The most memory that a process had, in bytes: what Linux noted, elsewhere the largest of what was seen. */
export class PeakMemory {
  readonly #pid: number
  readonly #watch: NodeJS.Timeout | undefined
  #seen = 0

  constructor({ pid }: ChildProcess) {
    if (pid === undefined) throw new Error('The process did not start.')
    this.#pid = pid
    if (process.platform !== 'linux') this.#watch = setInterval(() => void this.#look(), LOOK_EVERY_MS)
  }

  /** To be asked while the process runs. */
  async bytes(): Promise<number> {
    clearInterval(this.#watch)
    if (this.#watch !== undefined) return this.#seen
    const status = await readFile(`/proc/${this.#pid}/status`, 'utf8')
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1_024
  }

  async #look(): Promise<void> {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=', '-p', String(this.#pid)])
    this.#seen = Math.max(this.#seen, Number(stdout) * 1_024)
  }
}

/** @returns what the program tells first. @throws Error it ended without a word */
export async function firstMessage(child: ChildProcess): Promise<unknown> {
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`The measured program ended early (${code ?? signal}).`)
  })
  const [message] = await Promise.race([once(child, 'message'), ended])
  return message
}

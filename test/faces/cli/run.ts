import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const bin = fileURLToPath(new URL('../../../src/faces/cli/bin.ts', import.meta.url))

export interface CommandResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A command line as it is typed, in a process of its own. */
export class Run {
  readonly process: ChildProcess
  readonly #ended: Promise<unknown[]>
  stdout = ''
  stderr = ''

  constructor(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    const { DATABASE_URL: _, KAFKA_BROKERS: __, ...inherited } = process.env
    this.process = spawn(process.execPath, [bin, ...args], {
      env: { ...inherited, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.process.stdout?.on('data', (chunk: Buffer) => {
      this.stdout += chunk.toString()
    })
    this.process.stderr?.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString()
    })
    this.#ended = once(this.process, 'close')
  }

  async end(): Promise<CommandResult> {
    const [code] = await this.#ended
    return { code: typeof code === 'number' ? code : null, stdout: this.stdout, stderr: this.stderr }
  }
}

/** Runs a command to its end. */
export function trunkline(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<CommandResult> {
  return new Run(args, environment).end()
}

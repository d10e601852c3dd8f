import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type Release, Watchdog } from '../../src/faces/stack/watchdog.ts'
import { until } from './wait.ts'

// Whatever happens to this process, no program outlives it; a frozen one hears nothing but SIGKILL.
const watchdog = new Watchdog()

/** A program of the kit in a process of its own. */
export class TestProcess {
  readonly #child: ChildProcess
  readonly #ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  readonly lines: string[] = []
  #errors = ''
  #rest = ''
  #running = true

  /** @param heapMb how much memory V8 may take for objects; by default, what it takes */
  constructor(program: string, plan: unknown, heapMb?: number) {
    const path = fileURLToPath(new URL(`./programs/${program}.ts`, import.meta.url))
    const limits = heapMb === undefined ? [] : [`--max-old-space-size=${heapMb}`]
    this.#child = spawn(process.execPath, [...limits, path], {
      env: {
        PATH: process.env['PATH'],
        PLAN: JSON.stringify(plan),
        NODE_NO_WARNINGS: '1',
        NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const charged = this.#charge(this.#child.pid)
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#read(text))
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-8_000)
    })
    this.#ended = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        this.#running = false
        void charged.then((release) => release())
        resolve({ code, signal })
      })
    })
  }

  get running(): boolean {
    return this.#running
  }

  /** What it wrote to its standard error: why it ended. */
  get errors(): string {
    return this.#errors
  }

  kill(signal: NodeJS.Signals): void {
    if (this.#running) this.#child.kill(signal)
  }

  /** Resolves when it has said the line. @throws Error when it ended before, with what it wrote */
  async says(line: string, withinMs = 40_000): Promise<void> {
    await until(`the line "${line}"`, () => this.lines.includes(line) || (!this.#running && 'ended'), withinMs)
    if (!this.lines.includes(line))
      throw new Error(`The program ended before it said "${line}":\n${this.lines.join('\n')}\n${this.#errors}`)
  }

  async ended(withinMs = 40_000): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    await until('the end of the program', () => !this.#running, withinMs)
    return await this.#ended
  }

  /** Whether the planned fault fired. A run in which it did not proves nothing. */
  fired(failpoint: string): boolean {
    return this.lines.some((line) => line.startsWith(`failpoint ${failpoint} `))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill('SIGKILL')
    await this.#ended
  }

  async #charge(pid: number | undefined): Promise<Release> {
    return pid === undefined ? () => undefined : await watchdog.chargeProcess(pid, 'SIGKILL', 0)
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    this.lines.push(...lines)
  }
}

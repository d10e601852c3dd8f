import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { processStart } from './process-identity.ts'

export interface ProcessCharge {
  readonly kind: 'process'
  readonly pid: number
  /** Which process of this pid is meant: see `processStart`. */
  readonly start: string
  readonly signal: NodeJS.Signals
  readonly killAfterMs: number
}

/** Something that must not outlive this process. */
export type Charge =
  | ProcessCharge
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'command'; readonly command: string; readonly args: readonly string[] }

/** One line to the watchdog; without a charge, the one of that id is released. */
export interface WatchdogOrder {
  readonly id: number
  readonly charge?: Charge
}

/** Takes a charge back: it was ended in the ordinary way. */
export type Release = () => void

/**
 * Ends processes and deletes paths of ours when this process dies, even by SIGKILL.
 *
 * A small process of its own does it, started with the first charge (see `watchdog-process.ts`).
 */
export class Watchdog {
  #child: ChildProcess | undefined
  #lastId = 0

  charge(charge: Charge): Release {
    const id = ++this.#lastId
    this.#order({ id, charge })
    return () => this.#order({ id })
  }

  /** Charges it with a process that is ours and runs now; nothing to do when it has ended already. */
  async chargeProcess(pid: number, signal: NodeJS.Signals, killAfterMs: number): Promise<Release> {
    const start = await processStart(pid)
    if (start === undefined) return () => undefined
    return this.charge({ kind: 'process', pid, start, signal, killAfterMs })
  }

  /** Lets the watchdog go; what is still charged to it is ended and deleted now. */
  async close(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null) return
    child.ref()
    await new Promise<void>((resolve) => {
      child.once('exit', () => resolve())
      child.stdin?.end()
    })
  }

  #order(order: WatchdogOrder): void {
    this.#child ??= this.#spawn()
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`)
  }

  #spawn(): ChildProcess {
    // The same file beside this one, whether it runs from the sources or from the build.
    const script = fileURLToPath(
      new URL(import.meta.url.endsWith('.ts') ? './watchdog-process.ts' : './watchdog-process.js', import.meta.url),
    )
    // Detached: a session of its own, which Ctrl-C and the death of our process group do not reach.
    const child = spawn(process.execPath, [script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'], cwd: '/' })
    child.on('error', () => undefined)
    child.stdin?.on('error', () => undefined)
    child.unref()
    if (child.stdin !== null && 'unref' in child.stdin && typeof child.stdin.unref === 'function') child.stdin.unref()
    return child
  }
}

import { Worker } from 'node:worker_threads'
import type { BackboneDiagnostics } from '../core/diagnostics.ts'
import { messageOf } from '../foundation/errors.ts'
import type { Service } from '../foundation/service.ts'

export interface WatchdogThreadData {
  /** When the event loop last turned, in ms of a clock that only goes forward. */
  readonly turned: SharedArrayBuffer
  readonly limitMs: number
}

/** How often the loop shows that it turns, in the time that it may stand still. */
const SIGNS = 8

/**
 * Ends the process when its event loop stands still for longer than a limit.
 *
 * Nothing in the process could do it: no timer fires and no signal is handled while a handler loops. A thread of its
 * own watches a counter, and kills; whoever restarts processes does the rest, and the message is found by the next one.
 */
export class Watchdog implements Service {
  readonly #diagnostics: BackboneDiagnostics
  readonly #limitMs: number
  #worker: Worker | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(parts: { readonly diagnostics: BackboneDiagnostics }, limitMs: number) {
    this.#diagnostics = parts.diagnostics
    this.#limitMs = limitMs
  }

  async start(): Promise<void> {
    if (this.#worker !== undefined) return
    const turned = new SharedArrayBuffer(8)
    const sign = new BigInt64Array(turned)
    const turn = (): void => void Atomics.add(sign, 0, 1n)
    this.#timer = setInterval(turn, this.#limitMs / SIGNS)
    this.#timer.unref()
    const script = import.meta.url.endsWith('.ts') ? './watchdog-thread.ts' : './watchdog-thread.js'
    const workerData: WatchdogThreadData = { turned, limitMs: this.#limitMs }
    this.#worker = new Worker(new URL(script, import.meta.url), { workerData, name: 'trunkline watchdog' })
    this.#worker.unref()
    // A service runs without it too; but not silently.
    this.#worker.on('error', (error) => {
      this.#diagnostics.emit('process.unwatched', { reason: messageOf(error) })
      void this.stop()
    })
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    const worker = this.#worker
    this.#worker = undefined
    await worker?.terminate()
  }
}

import { messageOf, TransientError } from './errors.ts'

/** Something that runs until it is stopped. Both verbs may be called twice, and in either order. */
export interface Service {
  /** Resolves when the part works; a second call gives the same promise. */
  start(): Promise<void>
  /** Resolves when nothing of it runs any more. */
  stop(): Promise<void>
}

export interface LoopHooks {
  /** Called when the loop ends by itself with an error that it did not handle. */
  readonly onFailure?: (error: unknown) => void
}

/**
 * Runs one asynchronous function from `start` to `stop`.
 *
 * The function gets a signal that aborts at `stop`; it returns soon after. If it rejects before,
 * `onFailure` hears of it and `finished` rejects.
 */
export class Loop implements Service {
  readonly #name: string
  readonly #run: (signal: AbortSignal) => Promise<void>
  readonly #hooks: LoopHooks
  readonly #abort = new AbortController()
  #running: Promise<void> | undefined

  constructor(name: string, run: (signal: AbortSignal) => Promise<void>, hooks: LoopHooks = {}) {
    this.#name = name
    this.#run = run
    this.#hooks = hooks
  }

  get running(): boolean {
    return this.#running !== undefined && !this.#abort.signal.aborted
  }

  async start(): Promise<void> {
    if (this.#running !== undefined || this.#abort.signal.aborted) return
    this.#running = this.#run(this.#abort.signal).catch((error: unknown) => {
      if (!this.#abort.signal.aborted) this.#hooks.onFailure?.(error)
    })
  }

  async stop(): Promise<void> {
    this.#abort.abort(new TransientError('STOPPED', `${this.#name} was stopped.`))
    await this.#running
  }
}

/** Waits for `work`, but no longer than `ms`. @returns whether it ended in time */
export async function endsWithin(work: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms)
  })
  try {
    return await Promise.race([work.then(() => true), deadline])
  } finally {
    clearTimeout(timer)
  }
}

/** Stops every service, even when one of them fails to. @throws TransientError the first failure */
export async function stopAll(services: readonly Service[]): Promise<void> {
  const results = await Promise.allSettled(services.map((service) => service.stop()))
  const failed = results.find((result) => result.status === 'rejected')
  if (failed) throw new TransientError('STOP_FAILED', `A part did not stop: ${messageOf(failed.reason)}`, {}, failed.reason)
}

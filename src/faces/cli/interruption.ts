import { TransientError } from '../../foundation/errors.ts'

/** Turns the signals that end a program into an `AbortSignal`, until it is disposed. */
export interface Interruption extends Disposable {
  readonly signal: AbortSignal
  /** Resolves with the first of them. */
  readonly happened: Promise<NodeJS.Signals>
}

const endings = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export function interruption(): Interruption {
  const abort = new AbortController()
  let resolve: (signal: NodeJS.Signals) => void = () => undefined
  const happened = new Promise<NodeJS.Signals>((first) => {
    resolve = first
  })
  const onSignal = (signal: NodeJS.Signals): void => {
    abort.abort(new TransientError('INTERRUPTED', 'Interrupted.', { signal }))
    resolve(signal)
  }
  for (const ending of endings) process.on(ending, onSignal)
  return {
    signal: abort.signal,
    happened,
    [Symbol.dispose]: () => {
      for (const ending of endings) process.off(ending, onSignal)
    },
  }
}

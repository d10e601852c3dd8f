const signals = ['SIGTERM', 'SIGINT'] as const

/**
 * Stops in order on the first SIGTERM or SIGINT; a second one ends the process as it would without us.
 *
 * @returns takes the listeners away
 */
export function onSignals(stop: () => Promise<void>): () => void {
  const off = (): void => {
    for (const signal of signals) process.off(signal, onSignal)
  }
  const onSignal = (): void => {
    off()
    stop().catch(() => {
      process.exitCode = 1
    })
  }
  for (const signal of signals) process.once(signal, onSignal)
  return off
}

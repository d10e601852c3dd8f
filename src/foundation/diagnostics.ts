/** One record of something that happened: its name and its facts. Never a payload, never a secret. */
export interface Diagnostic<Catalogue, Name extends keyof Catalogue = keyof Catalogue> {
  readonly name: Name
  readonly fields: Catalogue[Name]
}

export type DiagnosticListener<Catalogue> = (diagnostic: Diagnostic<Catalogue>) => void

/**
 * The one stream of telemetry records that serves logs, metrics, traces and tests.
 *
 * Listeners run synchronously, in the order in which they came, at the place that reports: a test
 * that kills its process in a listener dies exactly there. A listener that throws is dropped from
 * that record only; it cannot hurt the part that reports.
 */
export class Diagnostics<Catalogue> {
  readonly #listeners = new Set<DiagnosticListener<Catalogue>>()

  emit<Name extends keyof Catalogue>(name: Name, fields: Catalogue[Name]): void {
    for (const listener of this.#listeners) {
      try {
        listener({ name, fields })
      } catch (error) {
        process.emitWarning(`A diagnostics listener failed on "${String(name)}": ${String(error)}`, 'TrunklineWarning')
      }
    }
  }

  /** @returns a function that takes the listener away again */
  on(listener: DiagnosticListener<Catalogue>): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves with the facts of the next record of that name which fits; rejects when the signal aborts. */
  next<Name extends keyof Catalogue>(
    name: Name,
    fits: (fields: Catalogue[Name]) => boolean = () => true,
    signal?: AbortSignal,
  ): Promise<Catalogue[Name]> {
    return new Promise((resolve, reject) => {
      const off = this.on((diagnostic) => {
        if (!isNamed(diagnostic, name) || !fits(diagnostic.fields)) return
        off()
        resolve(diagnostic.fields)
      })
      signal?.addEventListener('abort', () => {
        off()
        reject(signal.reason)
      })
    })
  }
}

function isNamed<Catalogue, Name extends keyof Catalogue>(
  diagnostic: Diagnostic<Catalogue>,
  name: Name,
): diagnostic is Diagnostic<Catalogue, Name> {
  return diagnostic.name === name
}

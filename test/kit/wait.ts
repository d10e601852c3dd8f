import { setTimeout as pause } from 'node:timers/promises'
import type { BackboneDiagnostics, DiagnosticCatalogue } from '../../src/core/diagnostics.ts'

const LOOK_EVERY_MS = 10

/**
 * Looks until the answer is neither `undefined` nor `false`.
 *
 * @throws Error names what was waited for, and the last error of a look
 */
export async function until<Result>(
  what: string,
  look: () => Promise<Result | undefined | false> | Result | undefined | false,
  withinMs = 20_000,
): Promise<Result> {
  let last: unknown
  for (const deadline = performance.now() + withinMs; performance.now() < deadline; await pause(LOOK_EVERY_MS)) {
    try {
      const seen = await look()
      if (seen !== undefined && seen !== false) return seen
    } catch (error) {
      last = error
    }
  }
  throw new Error(`Waited ${withinMs} ms for ${what}.`, { cause: last })
}

type Name = keyof DiagnosticCatalogue

/** Remembers every diagnostic from its construction on, so that a test cannot come too late to hear one. */
export class Witness {
  readonly #records: { readonly name: Name; readonly fields: unknown }[] = []
  readonly stop: () => void

  constructor(diagnostics: BackboneDiagnostics) {
    this.stop = diagnostics.on((record) => this.#records.push(record))
  }

  /** What was reported under that name, in order. */
  all<N extends Name>(name: N): DiagnosticCatalogue[N][] {
    // The catalogue ties a name to its fields; a list of all of them forgets the tie.
    return this.#records.filter((record) => record.name === name).map((record) => record.fields as DiagnosticCatalogue[N])
  }

  /** How much was reported, under any name. */
  get total(): number {
    return this.#records.length
  }

  count<N extends Name>(name: N, fits: (fields: DiagnosticCatalogue[N]) => boolean = () => true): number {
    return this.all(name).filter(fits).length
  }

  /** Resolves when `times` records of that name fit, counted from the witness's beginning. @returns the last of them */
  async saw<N extends Name>(
    name: N,
    fits: (fields: DiagnosticCatalogue[N]) => boolean = () => true,
    times = 1,
    withinMs = 20_000,
  ): Promise<DiagnosticCatalogue[N]> {
    return await until(`${times} × ${name}`, () => this.all(name).filter(fits)[times - 1], withinMs)
  }
}

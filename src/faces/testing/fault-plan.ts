import { createHash } from 'node:crypto'

export const faultKinds = ['crash', 'duplicate', 'replyLost', 'delay', 'rebalance'] as const
/**
 * What can go wrong in a test, at a place that the seed decides:
 *
 * - `crash`: the process dies between two awaits, at any diagnostic or before any statement, and starts again.
 * - `duplicate`: messages stand in their topic twice.
 * - `replyLost`: nobody hears whether messages reached their topic, so they are sent again.
 * - `delay`: a statement or a message leaves late, so that others overtake it.
 * - `rebalance`: the groups deal their partitions out anew.
 */
export type FaultKind = (typeof faultKinds)[number]

/** Each kind's shares of the places where it strikes; the seed picks one. */
const rates: Readonly<Record<FaultKind, readonly number[]>> = {
  crash: [0.01, 0.03, 0.1],
  duplicate: [0.1, 0.3],
  replyLost: [0.05, 0.2],
  delay: [0.02, 0.1],
  rebalance: [0.02, 0.1],
}
/** A run must end: after so many of a kind nothing more happens. */
const timesMax: Readonly<Record<FaultKind, number>> = { crash: 4, duplicate: 20, replyLost: 10, delay: 40, rebalance: 4 }
/** What comes round and round while nothing happens must not use up the faults. */
const VISITS_MAX = 12

/**
 * Decides by its seed alone where faults strike.
 *
 * A place is known by its name and by how often it was passed, not by when: the same seed strikes at the same places
 * however fast the machine is.
 */
export class FaultPlan {
  readonly seed: number
  readonly #kinds: ReadonlySet<FaultKind>
  readonly #visits = new Map<string, number>()
  readonly #times = new Map<FaultKind, number>()
  readonly #fired: string[] = []
  #over = false

  constructor(seed: number, kinds: readonly FaultKind[]) {
    this.seed = seed
    this.#kinds = new Set(kinds)
  }

  /** What has struck, in order, in words. */
  get fired(): readonly string[] {
    return this.#fired
  }

  /** Nothing strikes any more. */
  end(): void {
    this.#over = true
  }

  /** Whether this kind strikes at the place, now that it is passed once more. */
  strikes(kind: FaultKind, place: string): boolean {
    if (this.#over || !this.#kinds.has(kind)) return false
    const visit = (this.#visits.get(`${kind} ${place}`) ?? 0) + 1
    this.#visits.set(`${kind} ${place}`, visit)
    const times = this.#times.get(kind) ?? 0
    if (visit > VISITS_MAX || times >= timesMax[kind]) return false
    if (this.draw(`${kind} ${place} ${visit}`) >= this.#rateOf(kind)) return false
    this.#times.set(kind, times + 1)
    this.#fired.push(`${kind} at ${place}, time ${visit}`)
    return true
  }

  /** A number in [0, 1) that belongs to the seed and this text. */
  draw(text: string): number {
    return createHash('sha256').update(`${this.seed} ${text}`).digest().readUInt32BE(0) / 2 ** 32
  }

  #rateOf(kind: FaultKind): number {
    const choices = rates[kind]
    return choices[Math.floor(this.draw(kind) * choices.length)] ?? 0
  }
}

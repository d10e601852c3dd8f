import { lowest } from './lowest.ts'
import type { Hold, PendingRow, StoredHold } from './outbox-store.ts'

/** Held without having been loaded: only this term knows where its rows begin. */
interface Known {
  readonly hold: Hold
  /** The key's rows are at or above it. */
  readonly from: bigint
}

/** What identifies a hold: a message without a key holds up nobody but itself. */
type Place = Pick<Hold, 'topic' | 'key' | 'headId'>

/** The keys that are held, as the owner knows them: in memory first, so that no successor can slip through. */
export class HeldKeys {
  readonly #topics = new Map<string, Map<string, Known>>()

  get size(): number {
    let size = 0
    for (const keys of this.#topics.values()) size += keys.size
    return size
  }

  countOf(topic: string): number {
    return this.#topics.get(topic)?.size ?? 0
  }

  /** @param from no row of the key that is in the table, or will be, is below it */
  add(hold: Hold, from: bigint): void {
    const keys = this.#topics.get(hold.topic) ?? new Map<string, Known>()
    this.#topics.set(hold.topic, keys)
    keys.set(nameOf(hold), { hold, from })
  }

  /** Asked twice for every row: its key and its id, which are made when they are asked for, are not needed where nothing of its topic is held. */
  has(row: PendingRow): boolean {
    return this.#topics.has(row.topic) && this.#knownOf({ topic: row.topic, key: row.key, headId: row.id }) !== undefined
  }

  /** @returns from where on the key's rows are to be read; `undefined` when it was not held */
  delete(hold: Place): bigint | undefined {
    const keys = this.#topics.get(hold.topic)
    const known = keys?.get(nameOf(hold))
    keys?.delete(nameOf(hold))
    if (keys?.size === 0) this.#topics.delete(hold.topic)
    return known?.from
  }

  /** For passes: keys whose rows they leave out. */
  keys(): { topic: string; key: Buffer }[] {
    const found: { topic: string; key: Buffer }[] = []
    for (const { hold } of this.#all()) if (hold.key !== null) found.push({ topic: hold.topic, key: hold.key })
    return found
  }

  /** For passes: single rows that they leave out, above `mark`. */
  rowsAbove(mark: bigint): bigint[] {
    const found: bigint[] = []
    for (const { hold } of this.#all()) if (hold.key === null && hold.headSeq > mark) found.push(hold.headSeq)
    return found
  }

  /** Below it no held row is. */
  get lowest(): bigint | undefined {
    return lowest([...this.#all()].map(({ hold, from }) => (from === 0n ? hold.headSeq : from)))
  }

  /**
   * Those of the stored holds that somebody wants released, and that are held.
   *
   * @param inLanes while a lane has a row of the key, its request waits: that row would be sent before those in the table
   */
  requested(stored: readonly StoredHold[], inLanes: Iterable<PendingRow>): StoredHold[] {
    const wanted = stored.filter((hold) => hold.request !== undefined && this.#knownOf(hold)?.hold.headId === hold.headId)
    if (wanted.length === 0) return wanted
    const busy = new Set<Known | undefined>()
    for (const row of inLanes) busy.add(this.#knownOf({ topic: row.topic, key: row.key, headId: row.id }))
    return wanted.filter((hold) => !busy.has(this.#knownOf(hold)))
  }

  #knownOf(place: Place): Known | undefined {
    return this.#topics.get(place.topic)?.get(nameOf(place))
  }

  *#all(): Generator<Known> {
    for (const keys of this.#topics.values()) yield* keys.values()
  }
}

/** The bytes of a key as a text of the same length; an id has a mark before it, so the two never meet. */
function nameOf({ key, headId }: Pick<Hold, 'key' | 'headId'>): string {
  return key === null ? `id ${headId}` : `k ${key.toString('latin1')}`
}

import type { Clock } from '../../foundation/clock.ts'
import { isTrunklineError, type TrunklineError } from '../../foundation/errors.ts'
import { positiveHash } from '../broker/partitioner.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import type { Incident } from '../incident.ts'
import type { Episodes } from './episodes.ts'
import type { HeldKeys } from './held-keys.ts'
import type { InFlight } from './in-flight.ts'
import type { Lanes } from './lanes.ts'
import type { Hold, OutboxStore, PendingRow, StoredHold, Term } from './outbox-store.ts'
import type { SettledMark } from './settled-mark.ts'
import type { TopicRoutes } from './topic-routes.ts'
import { whenThereIsRoom } from './when-there-is-room.ts'

const LOOK_EVERY_MS = 250

export interface HoldingParts {
  readonly store: OutboxStore
  readonly held: HeldKeys
  readonly routes: TopicRoutes
  readonly lanes: Lanes
  readonly inFlight: InFlight
  readonly mark: SettledMark
  readonly episodes: Episodes
  readonly diagnostics: BackboneDiagnostics
  readonly clock: Clock
}

export interface HoldingEvents {
  onOver(): void
  onFailed(error: unknown): void
}

/** What becomes of messages and topics that Kafka refuses, and how people get them moving again. */
export class Holding {
  readonly #parts: HoldingParts
  readonly #term: Term
  readonly #heldKeysMax: number
  readonly #events: HoldingEvents
  #lookAtMs = 0

  constructor(parts: HoldingParts, term: Term, { heldKeysMax }: { readonly heldKeysMax: number }, events: HoldingEvents) {
    this.#parts = parts
    this.#term = term
    this.#heldKeysMax = heldKeysMax
    this.#events = events
  }

  /** Before the first row is sent: what former owners held. */
  async load(): Promise<void> {
    const stored = await this.#parts.store.holds(this.#term)
    if (stored === undefined) return this.#events.onOver()
    // Where such a key's rows begin, only its holder knew.
    for (const hold of stored) this.#parts.held.add(hold, 0n)
  }

  /** Kafka does not take this row, alone. @returns whether its key is held now; if not, its topic waits */
  refuseRow(row: PendingRow, reason: TrunklineError): boolean {
    const { held, mark } = this.#parts
    if (held.countOf(row.topic) >= this.#heldKeysMax) {
      const why = `${this.#heldKeysMax} keys of it are held, and another message was refused: ${reason.message}`
      this.#refuse(row.topic, why, 'TOO_MANY_HELD_KEYS')
      return false
    }
    const { topic, key, seq: headSeq, id: headId } = row
    // The hold stays when the row is released.
    const hold: Hold = { topic, key: key && Buffer.from(key), headSeq, headId, reasonCode: reason.code, reason: reason.message }
    // A row of the key that was not decided yet may come in below this one, but above the mark.
    held.add(hold, headSeq > mark.hard ? mark.hard + 1n : headSeq)
    this.#store(hold).catch((error: unknown) => this.#events.onFailed(error))
    this.#parts.episodes.note(refusedRow(row, reason))
    return true
  }

  /** Kafka takes nothing for this topic. */
  refuseTopic(topic: string, reason: TrunklineError): void {
    this.#refuse(topic, reason.message, reason.code)
  }

  /** How long until it should look for what people ask for. */
  get looksWithinMs(): number {
    return this.#parts.held.size === 0 ? Number.POSITIVE_INFINITY : LOOK_EVERY_MS
  }

  /** Between two passes: does what people asked for. */
  async answerRequests(): Promise<void> {
    const { held, inFlight, store, clock } = this.#parts
    if (held.size === 0 || clock.monotonic() < this.#lookAtMs) return
    this.#lookAtMs = clock.monotonic() + LOOK_EVERY_MS
    const stored = await store.requests(this.#term)
    if (stored === undefined) return this.#events.onOver()
    for (const hold of held.requested(stored, inFlight.rows)) {
      if (!(await this.#release(hold, hold.request === 'discard' ? 'discard' : 'redrive'))) return
    }
  }

  /** The key's rows are read again, in their order, before any that came after them. */
  async #release(hold: StoredHold, act: 'redrive' | 'discard'): Promise<boolean> {
    const { held, lanes, diagnostics } = this.#parts
    if (!(await this.#unhold(hold, act))) return false
    const from = held.delete(hold) ?? hold.headSeq
    lanes.readAgain(hold.topic, positiveHash(hold.key ?? Buffer.from(hold.headId)), from)
    diagnostics.emit('relay.released', { topic: hold.topic, id: hold.headId, act })
    return true
  }

  /** @returns whether it was; the request stays where there is no room for what is discarded, and passes go on meanwhile */
  async #unhold(hold: StoredHold, act: 'redrive' | 'discard'): Promise<boolean> {
    try {
      const mine = await this.#parts.store.unhold(this.#term, hold, act)
      if (!mine) this.#events.onOver()
      return mine
    } catch (error) {
      if (!isTrunklineError(error, 'DATABASE_FULL')) throw error
      this.#parts.diagnostics.emit('relay.no_room', { reason: error.message })
      return false
    }
  }

  async #store(hold: Hold): Promise<void> {
    const stored = await whenThereIsRoom(this.#parts, () => this.#parts.store.hold(this.#term, hold))
    if (!stored) return this.#events.onOver()
    this.#parts.diagnostics.emit('relay.held', { topic: hold.topic, id: hold.headId, reason: hold.reasonCode })
  }

  #refuse(topic: string, reason: string, code: string): void {
    this.#parts.routes.refuse(topic, reason)
    this.#parts.episodes.note(refusedTopic(topic, reason, code))
  }
}

function refusedRow({ id, topic, key }: PendingRow, reason: TrunklineError): Incident {
  const what = key === null ? 'It has no key and holds up nobody else' : 'Later messages of its key wait behind it in the outbox'
  return {
    kind: 'message_refused',
    subject: `${topic} ${id}`,
    message: `Kafka does not take message ${id} for topic "${topic}" (${reason.code}): ${reason.message} ${what}; other keys flow. Remove the cause and run "trunkline outbox redrive", or "trunkline outbox discard".`,
    details: { topic, id, code: reason.code },
  }
}

function refusedTopic(topic: string, reason: string, code: string): Incident {
  return {
    kind: 'topic_refused',
    subject: topic,
    message: `Topic "${topic}" takes no messages: ${reason} They wait in the outbox and are tried again; other topics flow.`,
    details: { topic, code },
  }
}

import type { Clock } from '../../foundation/clock.ts'
import { TransientError } from '../../foundation/errors.ts'
import type { IncidentLog } from '../incident.ts'
import type { ParkedMessage, ParkingStore } from './parking-store.ts'

/** What a group may keep. */
export interface ParkingLimits {
  readonly rowsMax: number
  readonly bytesMax: number
}

export interface ParkingLimitParts<Tx> {
  readonly parking: ParkingStore<Tx>
  readonly incidents: IncidentLog
  readonly clock: Clock
}

interface KnownLoad {
  rows: number
  bytes: number
  until: number
}

/** How long a count is believed, and how much of the time counting may take. */
const BELIEVED_MS_MIN = 1_000
const COUNTING_SHARE = 50
/** How much room there must be again before the next time that it is full is another episode. */
const ROOM_SHARE = 0.1

/**
 * A parking store that is full at some point: then nothing more is set aside, and the partition that needs it pauses.
 *
 * What other processes park between two counts is not known at once, so a group may keep a little more than its limit:
 * what they park within a second.
 */
export class LimitedParking<Tx> implements ParkingStore<Tx> {
  readonly #parts: ParkingLimitParts<Tx>
  readonly #limits: ParkingLimits
  readonly #loads = new Map<string, KnownLoad>()
  readonly #told = new Set<string>()

  constructor(parts: ParkingLimitParts<Tx>, limits: ParkingLimits) {
    this.#parts = parts
    this.#limits = limits
  }

  /**
   * @throws TransientError `PARKING_FULL`: nothing was changed; the partition waits until something was applied, redriven or
   *   discarded, or the limit was raised
   */
  async park(tx: Tx, messages: readonly ParkedMessage[]): Promise<void> {
    const [first] = messages
    if (first === undefined) return
    const { group } = first
    const bytes = messages.reduce((sum, message) => sum + bytesOf(message), 0)
    let load = await this.#loadOf(tx, group)
    // What was added since the count may have been rolled back.
    if (this.#exceeds(load, messages.length, bytes)) load = await this.#count(tx, group)
    if (this.#exceeds(load, messages.length, bytes)) throw await this.#full(group, load)
    await this.#parts.parking.park(tx, messages)
    load.rows += messages.length
    load.bytes += bytes
    if (!this.#exceeds(load, this.#limits.rowsMax * ROOM_SHARE, this.#limits.bytesMax * ROOM_SHARE)) this.#told.delete(group)
  }

  #exceeds(load: KnownLoad, rows: number, bytes: number): boolean {
    return load.rows + rows > this.#limits.rowsMax || load.bytes + bytes > this.#limits.bytesMax
  }

  lockParked(...asked: Parameters<ParkingStore<Tx>['lockParked']>): ReturnType<ParkingStore<Tx>['lockParked']> {
    return this.#parts.parking.lockParked(...asked)
  }

  registerHandled(group: string, names: readonly string[]): Promise<void> {
    return this.#parts.parking.registerHandled(group, names)
  }

  handledByGroup(tx: Tx, group: string, names: readonly string[]): Promise<ReadonlySet<string>> {
    return this.#parts.parking.handledByGroup(tx, group, names)
  }

  load(tx: Tx, group: string): Promise<{ readonly rows: number; readonly bytes: number }> {
    return this.#parts.parking.load(tx, group)
  }

  async #loadOf(tx: Tx, group: string): Promise<KnownLoad> {
    const known = this.#loads.get(group)
    return known !== undefined && this.#parts.clock.monotonic() < known.until ? known : await this.#count(tx, group)
  }

  async #count(tx: Tx, group: string): Promise<KnownLoad> {
    const { clock, parking } = this.#parts
    const begun = clock.monotonic()
    const counted = await parking.load(tx, group)
    const tookMs = clock.monotonic() - begun
    const load = { ...counted, until: begun + Math.max(BELIEVED_MS_MIN, tookMs * COUNTING_SHARE) }
    this.#loads.set(group, load)
    return load
  }

  async #full(group: string, { rows, bytes }: KnownLoad): Promise<TransientError> {
    const { rowsMax, bytesMax } = this.#limits
    const message = `Group "${group}" keeps ${rows} messages of ${bytes} bytes, and may keep ${rowsMax} and ${bytesMax}. Its partitions wait where a message would have to be set aside. See "trunkline failure causes --group ${group}": redrive or discard, or raise parking.rowsMax or parking.bytesMax.`
    if (!this.#told.has(group)) {
      this.#told.add(group)
      await this.#parts.incidents.record({ kind: 'parking_full', subject: group, message, details: { rows, bytes, rowsMax, bytesMax } })
    }
    return new TransientError('PARKING_FULL', message, { group, rows, bytes })
  }
}

function bytesOf({ record }: ParkedMessage): number {
  const headers = record.headers.reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + value.length + 8, 0)
  return (record.key?.length ?? 0) + (record.value?.length ?? 0) + headers
}

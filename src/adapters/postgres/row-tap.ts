import type { EventEmitter } from 'node:events'
import { ConfigurationError } from '../../foundation/errors.ts'

const TYPE_AND_LENGTH = 5
const DATA_ROW = 'D'.charCodeAt(0)
const NOTHING: Buffer = Buffer.alloc(0)

/** What a row is in the protocol: a count of columns, then of each its length and its bytes. Valid until it returns. */
export type OnRow = (bytes: Buffer, at: number) => void

/**
 * Takes the rows of an answer off a connection before the driver reads them; all else passes.
 *
 * The driver makes texts of every column, which bytes in the binary format do not survive, and in the text format they
 * are twice as long and read twice: of draining an outbox it was a quarter of the processor time, and most of the
 * memory (bench/relay.ts).
 */
export class RowTap {
  readonly #pass: (bytes: Buffer) => void
  #onRow: OnRow | undefined
  /** The beginning of a message whose end has not come. */
  #held: Buffer = NOTHING

  /** @param pass gets whole messages that are not rows */
  constructor(pass: (bytes: Buffer) => void) {
    this.#pass = pass
  }

  /**
   * Puts a tap between a connection's socket and the driver. For a connection that is open and idle, so that the next
   * byte is the first of a message.
   *
   * @throws ConfigurationError `DRIVER_UNKNOWN`: the driver does not listen as it is known to
   */
  static on(socket: EventEmitter): RowTap {
    const [driver, ...others] = socket.listeners('data')
    if (driver === undefined || others.length > 0) throw unknownDriver()
    const tap = new RowTap((bytes) => void driver.call(socket, bytes))
    socket.removeAllListeners('data')
    socket.on('data', (bytes: Buffer) => tap.take(bytes))
    return tap
  }

  /** From now on rows go there; with `undefined`, to the driver. */
  rowsTo(onRow: OnRow | undefined): void {
    this.#onRow = onRow
  }

  take(bytes: Buffer): void {
    let at = this.#held.length === 0 ? 0 : this.#complete(bytes)
    let passed = at
    while (bytes.length - at >= TYPE_AND_LENGTH) {
      const end = at + 1 + bytes.readUInt32BE(at + 1)
      if (end > bytes.length) break
      if (bytes[at] === DATA_ROW && this.#onRow !== undefined) {
        if (at > passed) this.#pass(bytes.subarray(passed, at))
        this.#onRow(bytes, at + TYPE_AND_LENGTH)
        passed = end
      }
      at = end
    }
    if (at > passed) this.#pass(bytes.subarray(passed, at))
    if (at < bytes.length) this.#held = Buffer.from(bytes.subarray(at))
  }

  /** Completes the message that is held. @returns where the next one begins */
  #complete(bytes: Buffer): number {
    const head = Math.min(bytes.length, Math.max(0, TYPE_AND_LENGTH - this.#held.length))
    if (head > 0) this.#held = Buffer.concat([this.#held, bytes.subarray(0, head)])
    if (this.#held.length < TYPE_AND_LENGTH) return head
    const missing = 1 + this.#held.readUInt32BE(1) - this.#held.length
    const message = Buffer.concat([this.#held, bytes.subarray(head, head + missing)])
    if (bytes.length - head < missing) {
      this.#held = message
      return bytes.length
    }
    this.#held = NOTHING
    if (message[0] === DATA_ROW && this.#onRow !== undefined) this.#onRow(message, TYPE_AND_LENGTH)
    else this.#pass(message)
    return head + missing
  }
}

function unknownDriver(): ConfigurationError {
  return new ConfigurationError('DRIVER_UNKNOWN', 'The relay cannot read with this version of "pg". Install one that package.json allows.')
}

import type { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import { ConfigurationError } from '../../foundation/errors.ts'
import { freeNow } from '../../foundation/free-now.ts'

const TYPE_AND_LENGTH = 5
const DATA_ROW = 'D'.charCodeAt(0)
const NOTHING: Buffer = Buffer.alloc(0)
/** PostgreSQL makes none that is larger. */
const MESSAGE_BYTES_MAX = 2 ** 30

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
  /** The beginning of a message whose end has not come; its memory has room for all of it as soon as its length is known. */
  #held: Buffer = NOTHING
  #heldBytes = 0

  /** @param pass gets whole messages that are not rows; valid until it returns */
  constructor(pass: (bytes: Buffer) => void) {
    this.#pass = pass
  }

  /**
   * Puts a tap between a connection's socket and the driver. For a connection that is open and idle, so that the next
   * byte is the first of a message.
   *
   * What the system's socket read is nobody's when the tap has seen it: rows were copied, and the driver gets its own
   * copy. Another stream (a pool may bring its own, for a tunnel) may still have what it hands out.
   *
   * @throws ConfigurationError `DRIVER_UNKNOWN`: the driver does not listen as it is known to
   */
  static on(socket: EventEmitter): RowTap {
    const [driver, ...others] = socket.listeners('data')
    if (driver === undefined || others.length > 0) throw unknownDriver()
    const isSystems = socket instanceof Socket
    const tap = new RowTap((bytes) => void driver.call(socket, Buffer.from(bytes)))
    socket.removeAllListeners('data')
    socket.on('data', (bytes: Buffer) => {
      try {
        tap.take(bytes)
      } catch (error) {
        socket.emit('error', error)
      }
      if (isSystems) freeNow(bytes)
    })
    return tap
  }

  /** From now on rows go there; with `undefined`, to the driver. */
  rowsTo(onRow: OnRow | undefined): void {
    this.#onRow = onRow
  }

  /** @throws Error this is not PostgreSQL's protocol, and nothing behind it can be understood */
  take(bytes: Buffer): void {
    let at = this.#heldBytes === 0 ? 0 : this.#complete(bytes)
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
    if (at < bytes.length) this.#hold(bytes, at)
  }

  /** Completes the message that is held. @returns where the next one begins */
  #complete(bytes: Buffer): number {
    let at = 0
    if (this.#heldBytes < TYPE_AND_LENGTH) {
      at = this.#fill(bytes, 0, TYPE_AND_LENGTH)
      if (this.#heldBytes < TYPE_AND_LENGTH) return at
      this.#reserve()
    }
    at = this.#fill(bytes, at, this.#held.length)
    if (this.#heldBytes < this.#held.length) return at
    const message = this.#held
    this.#heldBytes = 0
    this.#held = NOTHING
    if (message[0] === DATA_ROW && this.#onRow !== undefined) this.#onRow(message, TYPE_AND_LENGTH)
    else this.#pass(message)
    freeNow(message)
    return at
  }

  #hold(bytes: Buffer, at: number): void {
    this.#held = Buffer.allocUnsafe(TYPE_AND_LENGTH)
    const next = this.#fill(bytes, at, TYPE_AND_LENGTH)
    if (this.#heldBytes < TYPE_AND_LENGTH) return
    this.#reserve()
    this.#fill(bytes, next, this.#held.length)
  }

  /** Copies until so many bytes are held, or no more are there. @returns where it ended */
  #fill(bytes: Buffer, at: number, until: number): number {
    const copied = bytes.copy(this.#held, this.#heldBytes, at, at + until - this.#heldBytes)
    this.#heldBytes += copied
    return at + copied
  }

  /** Room for the whole message, whose type and length are here. */
  #reserve(): void {
    const length = 1 + this.#held.readUInt32BE(1)
    if (length < TYPE_AND_LENGTH || length > MESSAGE_BYTES_MAX) throw new Error(`PostgreSQL announced a message of ${length} bytes.`)
    const message = Buffer.allocUnsafe(length)
    this.#held.copy(message, 0, 0, TYPE_AND_LENGTH)
    this.#held = message
  }
}

function unknownDriver(): ConfigurationError {
  return new ConfigurationError('DRIVER_UNKNOWN', 'The relay cannot read with this version of "pg". Install one that package.json allows.')
}

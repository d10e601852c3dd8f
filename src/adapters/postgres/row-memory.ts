import { freeNow } from '../../foundation/free-now.ts'

const SLAB_BYTES = 65_536
/** What is larger has a slab of its own. */
const CELL_BYTES_MAX = SLAB_BYTES / 4
/** Sizes of cells differ at least by so much. */
const CELL_STEP = 64
/** Empty slabs beyond these, 2 MiB, are given back. */
const SPARE_MAX = 32

/** Memory that is cut into cells of one size. */
export class Slab {
  readonly bytes: Buffer
  readonly #onFree: (slab: Slab, wasFull: boolean) => void
  readonly #free: number[] = []
  #cellBytes = 0
  #cells = 0

  constructor(length: number, onFree: (slab: Slab, wasFull: boolean) => void) {
    this.bytes = Buffer.allocUnsafeSlow(length)
    this.#onFree = onFree
  }

  get cellBytes(): number {
    return this.#cellBytes
  }

  get isFull(): boolean {
    return this.#free.length === 0
  }

  get isEmpty(): boolean {
    return this.#free.length === this.#cells
  }

  /** All of it is free. */
  cut(cellBytes: number): void {
    if (cellBytes === this.#cellBytes) return
    this.#cellBytes = cellBytes
    this.#cells = Math.floor(this.bytes.length / cellBytes)
    this.#free.length = 0
    for (let cell = this.#cells - 1; cell >= 0; cell--) this.#free.push(cell * cellBytes)
  }

  /** @returns where the cell begins */
  take(): number {
    return this.#free.pop() ?? 0
  }

  /** The cell that begins there is free again. */
  give(at: number): void {
    const wasFull = this.isFull
    this.#free.push(at)
    this.#onFree(this, wasFull)
  }
}

/**
 * Memory for the bytes of rows, used again as soon as a row is released.
 *
 * A row lives for a tenth of a second: long enough for V8 to take it for something that stays, and then its bytes are
 * kept until all is looked through. With a buffer for each row some 50 MB of them lay dead (bench/growth.ts). Cells are
 * given back one by one, so that a row which waits for long keeps no others alive.
 */
export class RowMemory {
  /** By the size of their cells: slabs that have a free one. */
  readonly #open = new Map<number, Slab[]>()
  readonly #spare: Slab[] = []
  #bytes = 0

  /** Of all slabs that are there. */
  get bytes(): number {
    return this.#bytes
  }

  /** @returns a slab with a cell taken of at least so many bytes, and where that begins */
  take(bytes: number): { readonly slab: Slab; readonly at: number } {
    const cellBytes = cellFor(bytes)
    if (cellBytes > CELL_BYTES_MAX) return this.#alone(bytes)
    const open = this.#openOf(cellBytes)
    let slab = open.at(-1)
    if (slab === undefined) {
      slab = this.#spare.pop() ?? this.#grow(SLAB_BYTES)
      slab.cut(cellBytes)
      open.push(slab)
    }
    const at = slab.take()
    if (slab.isFull) open.pop()
    return { slab, at }
  }

  #keep(slab: Slab, wasFull: boolean): void {
    const open = this.#openOf(slab.cellBytes)
    if (wasFull) open.push(slab)
    if (!slab.isEmpty) return
    open.splice(open.indexOf(slab), 1)
    if (this.#spare.length < SPARE_MAX) this.#spare.push(slab)
    else this.#shrink(slab)
  }

  #alone(bytes: number): { readonly slab: Slab; readonly at: number } {
    const slab = this.#grow(bytes)
    slab.cut(bytes)
    return { slab, at: slab.take() }
  }

  #openOf(cellBytes: number): Slab[] {
    let open = this.#open.get(cellBytes)
    if (open === undefined) {
      open = []
      this.#open.set(cellBytes, open)
    }
    return open
  }

  #grow(bytes: number): Slab {
    this.#bytes += bytes
    return new Slab(bytes, (slab, wasFull) => (slab.cellBytes > CELL_BYTES_MAX ? this.#shrink(slab) : this.#keep(slab, wasFull)))
  }

  #shrink({ bytes }: Slab): void {
    this.#bytes -= bytes.length
    freeNow(bytes)
  }
}

/** Four sizes to each doubling: at most a quarter of a cell is empty, but for the smallest. */
function cellFor(bytes: number): number {
  const step = Math.max(CELL_STEP, 2 ** (29 - Math.clz32(bytes - 1)))
  return Math.ceil(bytes / step) * step
}

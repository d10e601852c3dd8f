import { isUtf8 } from 'node:buffer'
import { LONG_MAX, LONG_MIN } from './check.ts'

/**
 * What avsc reads from and writes to: an overflow moves `pos` past the end and is noticed when all is done.
 *
 * avsc believes every length and count. What reads here instead keeps to what the bytes can hold.
 */
export interface Tap extends ReadingTap {
  writeLong(value: number): void
  writeFloat(value: number): void
  writeDouble(value: number): void
  writeString(value: string): void
  writeBytes(value: Buffer): void
  writeFixed(value: Buffer, size: number): void
  skipString(): void
}

export interface ReadingTap {
  readonly buf: Buffer
  pos: number
  readLong(): number
  readFloat(): number
  readDouble(): number
}

const OUT_OF_RANGE = 'a long is out of the range of JavaScript numbers'
/** The error of a count, size or length that is larger than the value; the self-check knows it by this. */
export const TOO_MUCH_ANNOUNCED = 'a length or count announces more than the value holds'

type NumberReader = (tap: ReadingTap) => number

/**
 * Reads numbers of up to four bytes, which most numbers, lengths and counts are, and leaves the others to `slow`. avsc's
 * loop takes no longer, but to look at its result again costs a tenth of the decoding; these need no look.
 */
function wholeReader(slow: NumberReader): NumberReader {
  return (tap) => {
    const { buf } = tap
    let at = tap.pos
    let byte = buf[at++] ?? 0
    let zigzag = byte & 0x7f
    for (let shift = 7; byte >= 0x80; shift += 7) {
      if (shift > 21) return slow(tap)
      byte = buf[at++] ?? 0
      zigzag |= (byte & 0x7f) << shift
    }
    tap.pos = at
    return (zigzag >> 1) ^ -(zigzag & 1)
  }
}

/** avsc reads any varint as an int, even one that is NaN. */
export const readInt = wholeReader((tap) => {
  const value = tap.readLong()
  if (value !== (value | 0)) throw new Error('an int is out of range')
  return value
})

/** avsc turns the sign of everything below -2^52; a range check alone does not see it. */
export const readLong = wholeReader((tap) => {
  const sign = (tap.buf[tap.pos] ?? 0) & 1
  const value = tap.readLong()
  if (!isExact(value, sign)) throw new Error(OUT_OF_RANGE)
  return value
})

/** Whatever it is, even NaN: it is compared with what the value holds. */
const readLength = wholeReader((tap) => tap.readLong())

export function writeLong(tap: Tap, value: unknown): void {
  if (!Number.isInteger(value) || Number(value) < LONG_MIN || Number(value) > LONG_MAX) throw new Error(OUT_OF_RANGE)
  tap.writeLong(Number(value))
}

/**
 * How a number reads what another number wrote. Not avsc's choice, the writer's own reader: that of a date gives a text, and
 * that of a long believes every long.
 */
export const WHOLE_READERS: Readonly<Record<string, (tap: Tap) => number>> = { int: readInt, long: readLong }
export const NUMBER_READERS: Readonly<Record<string, (tap: Tap) => number>> = { ...WHOLE_READERS, float: (tap) => finite(tap.readFloat()) }

/** All 64 bits: a number where it is exact, else a bigint. */
export function readInteger(tap: ReadingTap): number | bigint {
  const start = tap.pos
  const sign = (tap.buf[start] ?? 0) & 1
  const value = tap.readLong()
  if (isExact(value, sign)) return value
  let zigzag = 0n
  let shift = 0n
  for (let at = start; at < tap.pos; at++) {
    zigzag |= BigInt((tap.buf[at] ?? 0) & 0x7f) << shift
    shift += 7n
    if (zigzag >= 1n << 64n || shift > 70n) throw new Error('a long has more than 64 bits')
  }
  return (zigzag >> 1n) ^ -(zigzag & 1n)
}

export function writeInteger(tap: Tap, value: number | bigint): void {
  if (value >= LONG_MIN && value <= LONG_MAX) {
    writeLong(tap, Number(value))
    return
  }
  const whole = BigInt(value)
  let rest = whole < 0n ? -whole * 2n - 1n : whole * 2n
  for (; rest > 0x7fn; rest >>= 7n) tap.buf[tap.pos++] = Number(rest & 0x7fn) | 0x80
  tap.buf[tap.pos++] = Number(rest)
}

/** NaN and the infinities are numbers of no business, and no JSON has a word for them. */
export function finite(value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new Error('a number is not finite')
  return value
}

/** avsc puts U+FFFD where the bytes are no UTF-8, so that two different texts become one. */
export function readText(tap: ReadingTap): string {
  const start = enter(tap)
  const length = tap.pos - start
  const short = length > SHORT_TEXT ? undefined : (shortTexts[length] ?? shortTextsOf(length))(tap.buf, start)
  return short ?? anyText(tap.buf, start, tap.pos)
}

function anyText(bytes: Buffer, start: number, end: number): string {
  const text = (bytes as Sliceable).utf8Slice(start, end)
  if (text.includes('\uFFFD') && !isUtf8(bytes.subarray(start, end))) throw new Error('a text is not UTF-8')
  return text
}

/** What `toString('utf8', …)` calls after looking at its arguments, which costs a third; avsc uses it too. */
interface Sliceable extends Buffer {
  utf8Slice(start: number, end: number): string
}

/** A UUID. Longer texts are quicker read outside of JavaScript. */
const SHORT_TEXT = 36

/** @returns `undefined` where a byte is beyond ASCII */
type AsciiReader = (bytes: Buffer, at: number) => string | undefined

/** By length; made when the first text of that length comes. */
const shortTexts: AsciiReader[] = []

function shortTextsOf(length: number): AsciiReader {
  const reader = asciiReader(length)
  shortTexts[length] = reader
  return reader
}

/**
 * Reads texts of one length in one piece, `String.fromCharCode(c0, c1, c2)`, and looks on the way whether they are ASCII.
 *
 * 10 bytes take 27 ns, 36 take 69; to leave JavaScript takes 70 for any, and to look at its answer 10 more. Pieces put together
 * become ropes, and an argument list that is made at run time costs three times as much; so the function is written out, as
 * avsc writes out those for records (docs/decisions/012-short-texts-are-read-by-functions-written-out.md).
 */
function asciiReader(length: number): AsciiReader {
  const names = Array.from({ length }, (_, index) => `c${index}`)
  const read = names.map((name, index) => `const ${name} = bytes[at + ${index}];`).join('')
  const body = `${read} return (${['0', ...names].join(' | ')}) < 0x80 ? String.fromCharCode(${names.join()}) : undefined`
  // oxlint-disable-next-line typescript/no-implied-eval -- its text is made from the length alone
  return new Function('bytes', 'at', body) as AsciiReader
}

/** A copy: the value that it was read from may be large, and live shorter. */
export function readBytes(tap: ReadingTap): Buffer {
  const start = enter(tap)
  return Buffer.from(tap.buf.subarray(start, tap.pos))
}

export function readFixed(tap: ReadingTap, size: number): Buffer {
  const start = tap.pos
  tap.pos += within(tap, size)
  return Buffer.from(tap.buf.subarray(start, tap.pos))
}

/**
 * The items that the next block holds; 0 at the end.
 *
 * Each takes a byte at least, so there cannot be more of them than bytes. avsc believes the count: it allocates
 * for it (heap exhausted, not catchable) or walks it (2^62 steps).
 */
export function blockCount(tap: ReadingTap): number {
  const count = readLength(tap)
  // A negative count is followed by the size of the block in bytes, which only skipping needs.
  if (count < 0) blockSize(tap)
  return within(tap, Math.abs(count))
}

/** A block with a negative count says its size in bytes; the others are walked item by item. */
export function skipBlocks(tap: ReadingTap, skipItem: () => void): void {
  for (;;) {
    const count = tap.readLong()
    if (count === 0) return
    if (count < 0) {
      tap.pos += blockSize(tap)
      continue
    }
    for (let left = within(tap, count); left > 0; left--) {
      skipItem()
      checkEnd(tap)
    }
  }
}

/** After each item: what is behind the end reads as zero, and there may be as many items as the value has bytes. */
export function checkEnd(tap: ReadingTap): void {
  if (!(tap.pos <= tap.buf.length)) throw new Error('the value ends inside a list or map')
}

/** @returns where the text or the bytes at `tap.pos` begin; `tap.pos` is then their end */
function enter(tap: ReadingTap): number {
  const length = readLength(tap)
  const start = tap.pos
  tap.pos = start + within(tap, length)
  return start
}

function blockSize(tap: ReadingTap): number {
  return within(tap, tap.readLong())
}

/** The comparison is negated, so that NaN fails too. */
function within(tap: ReadingTap, count: number): number {
  if (!(count >= 0 && count <= tap.buf.length - tap.pos)) throw new Error(TOO_MUCH_ANNOUNCED)
  return count
}

function isExact(value: number, sign: number): boolean {
  return value >= LONG_MIN && value <= LONG_MAX && (value < 0 ? 1 : 0) === sign
}

import { isUtf8 } from 'node:buffer'
import avsc from 'avsc'
import type { AvroSchema } from './avro.ts'
import { LONG_MAX, LONG_MIN } from './check.ts'

/**
 * The only place that touches avsc. Bare, version 5.7.9 hangs or dies on values of 5 to 12 bytes, and silently
 * changes some longs, enums and texts. Every type is therefore built here, from readers and writers that keep to
 * what the bytes can hold. They use avsc's internals (`_read`, `_skip`, `_write`, `Tap`), hence the exact pin; the
 * corpus of hostile values in the tests is what notices a change.
 */
export type AvscType = avsc.Type

/**
 * Builds the reader and writer of one schema that refers to nothing outside itself.
 *
 * @throws Error the schema is one that avsc refuses
 */
export function avscType(schema: AvroSchema): AvscType {
  // avsc wants a mutable schema and does not change it.
  return avsc.Type.forSchema(schema as avsc.Schema, {
    wrapUnions: 'never',
    omitRecordMethods: true,
    registry: Object.create(null),
    typeHook: guarded,
  })
}

/** What avsc reads from: an overflow moves `pos` past the end and is noticed when all is read. */
interface Tap {
  readonly buf: Buffer
  pos: number
  readLong(): number
  writeLong(value: number): void
  writeString(value: string): void
  skipString(): void
}

interface Readable {
  _read(tap: Tap): unknown
}

interface Skippable {
  _skip(tap: Tap): void
}

function guarded(schema: avsc.Schema, options: avsc.ForSchemaOptions): avsc.Type | undefined {
  const name = typeof schema === 'object' && !Array.isArray(schema) && 'type' in schema ? schema.type : schema
  switch (name) {
    case 'int':
      return INT
    case 'long':
      return LONG
    case 'float':
      return FLOAT
    case 'double':
      return DOUBLE
    case 'string':
      return STRING
    case 'bytes':
      return BYTES
    case 'array':
      return new GuardedArray(schema, options)
    case 'map':
      return new GuardedMap(schema, options)
    case 'enum':
      return new GuardedEnum(schema, options)
    default:
      return undefined
  }
}

/** avsc reads any varint as an int, even one that is NaN. */
class GuardedInt extends avsc.types.IntType {
  _read(tap: Tap): number {
    const value = tap.readLong()
    if (value !== (value | 0)) throw new Error('an int is out of range')
    return value
  }
}

/** avsc turns the sign of everything below -2^52; a range check alone does not see it. */
function readLong(tap: Tap): number {
  const sign = (tap.buf[tap.pos] ?? 0) & 1
  const value = tap.readLong()
  if (!(value >= LONG_MIN && value <= LONG_MAX) || (value < 0 ? 1 : 0) !== sign)
    throw new Error('a long is out of the range of JavaScript numbers')
  return value
}

class GuardedLong extends avsc.types.LongType {
  _read(tap: Tap): number {
    return readLong(tap)
  }

  _write(tap: Tap, value: number): void {
    if (!Number.isInteger(value) || value < LONG_MIN || value > LONG_MAX)
      throw new Error('a long is out of the range of JavaScript numbers')
    tap.writeLong(value)
  }
}

/** A long that is read as a floating-point number takes the same way as any other long. */
function readsLong(resolver: Readable, writer: avsc.Type): boolean {
  if (writer.typeName !== 'long') return false
  resolver._read = readLong
  return true
}

class GuardedFloat extends avsc.types.FloatType {
  _update(resolver: Readable, writer: avsc.Type): void {
    if (!readsLong(resolver, writer)) Reflect.apply(Reflect.get(avsc.types.FloatType.prototype, '_update'), this, [resolver, writer])
  }
}

class GuardedDouble extends avsc.types.DoubleType {
  _update(resolver: Readable, writer: avsc.Type): void {
    if (!readsLong(resolver, writer)) Reflect.apply(Reflect.get(avsc.types.DoubleType.prototype, '_update'), this, [resolver, writer])
  }
}

/** @returns where the text or the bytes at `tap.pos` begin; `tap.pos` is then their end */
function enter(tap: Tap): number {
  const length = tap.readLong()
  const start = tap.pos
  tap.pos = start + within(tap, length)
  return start
}

/** avsc puts U+FFFD where the bytes are no UTF-8, so that two different texts become one. */
function readText(tap: Tap): string {
  const start = enter(tap)
  const text = tap.buf.toString('utf8', start, tap.pos)
  if (text.includes('\uFFFD') && !isUtf8(tap.buf.subarray(start, tap.pos))) throw new Error('a text is not UTF-8')
  return text
}

class GuardedString extends avsc.types.StringType {
  _read(tap: Tap): string {
    return readText(tap)
  }
}

/** A length that is NaN leaves avsc's pool of memory broken for every later value of the process. */
class GuardedBytes extends avsc.types.BytesType {
  _read(tap: Tap): Buffer {
    const start = enter(tap)
    return Buffer.from(tap.buf.subarray(start, tap.pos))
  }
}

/** avsc looks symbols up in a plain object, where `toString` is found and written as the first symbol. */
class GuardedEnum extends avsc.types.EnumType {
  _write(tap: Tap, value: unknown): void {
    const index = typeof value === 'string' ? this.symbols.indexOf(value) : -1
    if (index < 0) throw new Error('not a symbol of its enum')
    tap.writeLong(index)
  }
}

const INT = new GuardedInt()
const LONG = new GuardedLong()
const FLOAT = new GuardedFloat()
const DOUBLE = new GuardedDouble()
const STRING = new GuardedString()
const BYTES = new GuardedBytes()

/**
 * The items that the next block holds; 0 at the end.
 *
 * Each takes a byte at least, so there cannot be more of them than bytes. avsc believes the count: it allocates
 * for it (heap exhausted, not catchable) or walks it (2^62 steps).
 */
function blockCount(tap: Tap): number {
  const count = tap.readLong()
  // A negative count is followed by the size of the block in bytes, which only skipping needs.
  if (count < 0) blockSize(tap)
  return within(tap, Math.abs(count))
}

function blockSize(tap: Tap): number {
  return within(tap, tap.readLong())
}

/** The comparison is negated, so that NaN fails too. */
function within(tap: Tap, count: number): number {
  if (!(count >= 0 && count <= tap.buf.length - tap.pos)) throw new Error('a length or count announces more than the value holds')
  return count
}

function checkProgress(tap: Tap, before: number): void {
  if (!(tap.pos > before && tap.pos <= tap.buf.length)) throw new Error('the value ends inside a list or map')
}

/** A block with a negative count says its size in bytes; the others are walked item by item. */
function skipBlocks(tap: Tap, skipItem: () => void): void {
  for (;;) {
    const count = tap.readLong()
    if (count === 0) return
    if (count < 0) {
      tap.pos += blockSize(tap)
      continue
    }
    for (let left = within(tap, count); left > 0; left--) {
      const before = tap.pos
      skipItem()
      checkProgress(tap, before)
    }
  }
}

/** `_read` runs on the type and, with another version's writer, on its resolver: both have `itemsType`. */
class GuardedArray extends avsc.types.ArrayType {
  _read(this: { readonly itemsType: Readable }, tap: Tap): unknown[] {
    const items: unknown[] = []
    for (let left = blockCount(tap); left > 0; left = blockCount(tap)) {
      for (; left > 0; left--) {
        const before = tap.pos
        items.push(this.itemsType._read(tap))
        checkProgress(tap, before)
      }
    }
    return items
  }

  _skip(this: { readonly itemsType: Skippable }, tap: Tap): void {
    skipBlocks(tap, () => this.itemsType._skip(tap))
  }
}

class GuardedMap extends avsc.types.MapType {
  _read(this: { readonly valuesType: Readable }, tap: Tap): Record<string, unknown> {
    const entries: Record<string, unknown> = {}
    for (let left = blockCount(tap); left > 0; left = blockCount(tap)) {
      for (; left > 0; left--) {
        const before = tap.pos
        const key = readText(tap)
        // It would set the object's prototype.
        if (key === '__proto__') throw new Error('a map has the key "__proto__"')
        entries[key] = this.valuesType._read(tap)
        checkProgress(tap, before)
      }
    }
    return entries
  }

  _skip(this: { readonly valuesType: Skippable }, tap: Tap): void {
    skipBlocks(tap, () => {
      tap.skipString()
      this.valuesType._skip(tap)
    })
  }
}

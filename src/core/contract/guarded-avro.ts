import avsc from 'avsc'
import { meaningOf } from './annotations.ts'
import { type AvroPrimitiveName, type AvroSchema, isJsonObject, isPrimitiveName } from './avro.ts'
import { DEPTH_MAX } from './check.ts'
import {
  convertingMethods,
  type Internals,
  inherited,
  meanings,
  type Readable,
  type Skippable,
  type Walk,
  type Writable,
} from './converting.ts'
import { checkGuard } from './guard-check.ts'
import { GUARDED_PRIMITIVES } from './guarded-primitives.ts'
import { type Conversion, conversionOf, type Meaning } from './logical.ts'
import { kindOfName, type Look, lookOfType, lookOfValue } from './look.ts'
import { blockCount, checkEnd, readLong, readText, skipBlocks, type Tap } from './tap.ts'

/**
 * The only place that touches avsc, with `guarded-primitives.ts` beside it. Bare, version 5.7.9 hangs or dies on values of 5 to 12 bytes, and silently
 * changes some longs, enums and texts. Every type is therefore built here, from readers and writers that keep to
 * what the bytes can hold. They use avsc's internals (`_read`, `_skip`, `_write`, `_update`), hence the exact pin, and
 * the check of the guard before the first type is built.
 */
export type AvscType = avsc.Type
/** Reads what another schema wrote. */
export type AvscResolver = ReturnType<AvscType['createResolver']>

let isChecked = false

/**
 * Builds the reader and writer of one schema that refers to nothing outside itself.
 *
 * @throws Error the schema is one that avsc refuses
 * @throws ConfigurationError `AVSC_CHANGED`: the installed avsc is not the one that this guard was made for
 */
export function avscType(schema: AvroSchema): AvscType {
  if (!isChecked) checkGuard({ build, decode: decodeAvro })
  isChecked = true
  return build(schema)
}

/**
 * Decodes the value that begins at `start`.
 *
 * @returns the value, and where it ends; -1 where the bytes end before it does
 * @throws Error the bytes are no value of the type
 */
export function decodeAvro(type: AvscType, bytes: Buffer, start: number, resolver?: AvscResolver): { value: unknown; offset: number } {
  // A value before this one may have failed somewhere deep.
  depth = 0
  return type.decode(bytes, start, resolver)
}

function build(schema: AvroSchema): AvscType {
  buildsRecursive = isRecursive(schema, [])
  // avsc wants a mutable schema and does not change it.
  return avsc.Type.forSchema(schema as avsc.Schema, {
    wrapUnions: 'never',
    omitRecordMethods: true,
    registry: Object.create(null),
    typeHook: guarded,
  })
}

function isRecursive(part: unknown, around: readonly unknown[]): boolean {
  if (typeof part === 'string') return around.includes(part)
  if (Array.isArray(part)) return part.some((each) => isRecursive(each, around))
  if (!isJsonObject(part)) return false
  // Names are full, because the schema was written by `toSchema`; where they are not, counting is the safe side.
  const inside = part['type'] === 'record' ? [...around, part['name'], String(part['name']).split('.').at(-1)] : around
  return [part['type'], part['items'], part['values'], part['fields']].some((each) => isRecursive(each, inside))
}

function guarded(schema: avsc.Schema, options: avsc.ForSchemaOptions): avsc.Type | undefined {
  if (Array.isArray(schema)) return guardedUnion(schema, options)
  const attributes: Attributes = isJsonObject(schema) ? schema : { type: schema }
  const name = String(attributes['type'])
  switch (name) {
    case 'array':
      return new GuardedArray(schema, options)
    case 'map':
      return new GuardedMap(schema, options)
    case 'enum':
      return new GuardedEnum(schema, options)
    case 'record':
      return new GuardedRecord(schema, options)
    case 'fixed':
      return guardedFixed(schema, attributes, options)
    default:
      return isPrimitiveName(name) ? guardedPrimitive(name, attributes) : undefined
  }
}

type Attributes = Readonly<Record<string, unknown>>

/** avsc looks symbols up in a plain object, where `toString` is found and written as the first symbol. */
class GuardedEnum extends avsc.types.EnumType {
  _read(this: { readonly symbols: readonly string[] }, tap: Tap): string {
    const symbol = this.symbols[readLong(tap)]
    if (symbol === undefined) throw new Error('not the number of a symbol of its enum')
    return symbol
  }

  _write(tap: Tap, value: unknown): void {
    const index = typeof value === 'string' ? this.symbols.indexOf(value) : -1
    if (index < 0) throw new Error('not a symbol of its enum')
    tap.writeLong(index)
  }
}

function guardedPrimitive(kind: AvroPrimitiveName, attributes: Attributes): avsc.Type | undefined {
  const base = GUARDED_PRIMITIVES[kind]
  const meaning = meaningOf({ kind }, attributes)
  const conversion = conversionOf(meaning)
  return base === undefined || conversion === undefined ? base : converted(base, conversion, meaning)
}

function guardedFixed(schema: avsc.Schema, attributes: Attributes, options: avsc.ForSchemaOptions): avsc.Type {
  const base = new avsc.types.FixedType(schema, options)
  const meaning = meaningOf({ kind: 'fixed', size: base.size }, attributes)
  const conversion = conversionOf(meaning)
  if (conversion === undefined) return base
  const type = converted(base, conversion, meaning)
  // The base has registered itself under its name, by which later fields refer to it.
  if (base.name !== undefined) options.registry[base.name] = type
  return type
}

/**
 * A type whose values stand for others. It is the base with other methods: avsc's own logical types would be asked
 * which branch of a union a value belongs to, one after the other, and cannot read what another logical type wrote.
 */
function converted(base: avsc.Type, conversion: Conversion, meaning: Meaning): avsc.Type {
  const methods = convertingMethods(base, conversion, meaning)
  const type: avsc.Type = Object.create(base, Object.getOwnPropertyDescriptors(methods))
  meanings.set(type, meaning)
  return Object.freeze(type)
}

/** avsc chooses a branch by the type's bytes, and would take a Date for a record. */
function guardedUnion(schema: avsc.Schema, options: avsc.ForSchemaOptions): avsc.Type {
  let looks: readonly Look[] = []
  let writers: readonly Writable[] = []
  class GuardedUnion extends avsc.types.UnwrappedUnionType {
    _write(tap: Tap, value: unknown): void {
      const index = looks.indexOf(lookOfValue(value))
      if (index < 0) throw new Error('not a value of any branch')
      tap.writeLong(index)
      if (value !== null) writers[index]?._write(tap, value)
    }

    /** Of a default, once from its JSON, which is the first branch's (wrap: 2), and then for each message. */
    _copy(value: unknown, options?: { readonly wrap?: number }): unknown {
      return writers[options?.wrap === 2 ? 0 : looks.indexOf(lookOfValue(value))]?._copy(value, options)
    }
  }
  const union = new GuardedUnion(schema, options)
  // avsc's types have these methods and do not declare them.
  writers = union.types as unknown as readonly Writable[]
  looks = union.types.map((type) => lookOfType(meanings.get(type) ?? { kind: kindOfName(type.typeName) }))
  return union
}

/** `_read` runs on the type and, with another version's writer, on its resolver: both have `itemsType`. */
class GuardedArray extends avsc.types.ArrayType {
  _read(this: { readonly itemsType: Readable }, tap: Tap): unknown[] {
    const items: unknown[] = []
    for (let left = blockCount(tap); left > 0; left = blockCount(tap)) {
      for (; left > 0; left--) {
        items.push(this.itemsType._read(tap))
        checkEnd(tap)
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
        const key = readText(tap)
        // It would set the object's prototype.
        if (key === '__proto__') throw new Error('a map has the key "__proto__"')
        entries[key] = this.valuesType._read(tap)
        checkEnd(tap)
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

/** Records that the value being decoded is inside of. Decoding does not wait for anything, so one is enough. */
let depth = 0

/** Types that may contain themselves; the depth of all others is that of their schema, and counting it costs 5 %. */
const recursive = new WeakSet<object>()
let buildsRecursive = false

/** Whatever is nested without end is nested through records. */
function limited(type: object, walk: Walk): Walk {
  if (!recursive.has(type)) return walk
  return (tap, lazy) => {
    if (++depth > DEPTH_MAX) throw new Error(`records are nested deeper than ${DEPTH_MAX}`)
    const value = walk(tap, lazy)
    depth--
    return value
  }
}

const RECORD = avsc.types.RecordType.prototype

class GuardedRecord extends avsc.types.RecordType {
  _createReader(): Walk {
    if (buildsRecursive) recursive.add(this)
    return limited(this, inherited(RECORD, '_createReader', this, []) as Walk)
  }

  _createSkipper(): Walk {
    return limited(this, inherited(RECORD, '_createSkipper', this, []) as Walk)
  }

  _update(resolver: Internals, writer: Internals, options: unknown): void {
    inherited(RECORD, '_update', this, [resolver, writer, options])
    if (resolver._read !== null) resolver._read = limited(this, resolver._read)
  }

  /** avsc gives the default of a number to every message, and here it may be a Date. */
  _createConstructor(...options: unknown[]): unknown {
    const fresh = (field: avsc.types.Field): avsc.types.Field =>
      Object.create(field, { defaultValue: { value: () => new Date(field.defaultValue()) } })
    const fields = this.fields.map((field) => (field.defaultValue() instanceof Date ? fresh(field) : field))
    Reflect.set(this, 'fields', Object.freeze(fields))
    return inherited(RECORD, '_createConstructor', this, options)
  }
}

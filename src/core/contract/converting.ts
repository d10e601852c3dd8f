import { wireOfDefault } from './default-value.ts'
import { type Conversion, isMisread, type Meaning, type Wire } from './logical.ts'
import { readBytes, readFixed, readInt, readInteger, readText, type Tap, writeInteger } from './tap.ts'

export type Walk = (tap: Tap, lazy?: boolean) => unknown

/** What every type of avsc's can do, and does not declare. */
export interface Readable {
  _read(tap: Tap): unknown
}

export interface Skippable {
  _skip(tap: Tap): void
}

export interface Writable {
  _write(tap: Tap, value: unknown): void
  _copy(value: unknown, options: unknown): unknown
}

/** What a type of avsc's and a resolver are made of. */
export interface Internals {
  _read: Walk | null
  readonly typeName: string
}

/** How the bytes of a value are read and written that stands for something else. */
interface WireForm {
  read(tap: Tap): Wire
  write(tap: Tap, wire: Wire): void
}

const WIRES: Readonly<Record<string, WireForm>> = {
  int: { read: readInt, write: (tap, wire) => tap.writeLong(Number(wire)) },
  long: { read: readInteger, write: (tap, wire) => writeInteger(tap, wire as number | bigint) },
  string: { read: readText, write: (tap, wire) => tap.writeString(wire as string) },
  bytes: { read: readBytes, write: (tap, wire) => tap.writeBytes(wire as Buffer) },
}

function fixedWire(size: number): WireForm {
  return { read: (tap) => readFixed(tap, size), write: (tap, wire) => tap.writeFixed(wire as Buffer, size) }
}

/** What the types built here mean, beyond what avsc knows of them. */
export const meanings = new WeakMap<object, Meaning>()

/** Calls what avsc itself does. */
export function inherited(prototype: object, method: string, self: object, given: readonly unknown[]): unknown {
  return Reflect.apply(Reflect.get(prototype, method), self, given)
}

interface ConvertingMethods {
  _read(tap: Tap): unknown
  _write(tap: Tap, value: unknown): void
  _update(resolver: Internals, writer: Internals, options: unknown): void
  _copy(value: unknown, options?: { readonly coerce?: number }): unknown
}

/** What `base` has to do differently where its values stand for others. */
export function convertingMethods(base: object, conversion: Conversion, meaning: Meaning): ConvertingMethods {
  const wire = meaning.size === undefined ? WIRES[meaning.kind] : fixedWire(meaning.size)
  if (wire === undefined) throw new Error(`values of type ${meaning.kind} stand for nothing else`)
  const reads = (tap: Tap): unknown => conversion.fromWire(wire.read(tap))
  const readsInt = (tap: Tap): unknown => conversion.fromWire(readInt(tap))
  return {
    _read: reads,
    // Data may have been changed since it was checked; avsc's own types look too.
    _write: (tap, value) => {
      const accepted = conversion.accept(value)
      if (accepted === undefined) throw new Error('a value is not of its logical type')
      wire.write(tap, conversion.toWire(accepted))
    },
    _update: (resolver, writer, options) => {
      inherited(base, '_update', base, [resolver, writer, options])
      if (resolver._read === null) return
      if (isMisread(meanings.get(writer)?.logical, meaning.logical)) resolver._read = null
      else resolver._read = writer.typeName === 'int' ? readsInt : reads
    },
    // Of a default: once from its JSON (coerce: 2), then a copy for each message, because a Date can be changed.
    _copy: (value, options) => {
      const copied = options?.coerce === 2 ? conversion.fromWire(wireOfDefault(meaning, value)) : value
      return copied instanceof Date ? new Date(copied) : copied
    },
  }
}

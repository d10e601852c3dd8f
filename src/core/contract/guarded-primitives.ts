import avsc from 'avsc'
import type { Internals } from './converting.ts'
import { finite, NUMBER_READERS, readBytes, readInt, readLong, readText, type Tap, WHOLE_READERS, writeLong } from './tap.ts'

/** Set, not called from a method of the class: one call less for each value is worth 5 % of the decoding. */
function readWith(prototype: object, read: (tap: Tap) => unknown): void {
  Object.defineProperty(prototype, '_read', { value: read })
}

class GuardedInt extends avsc.types.IntType {
  static {
    readWith(GuardedInt.prototype, readInt)
  }
}

class GuardedLong extends avsc.types.LongType {
  static {
    readWith(GuardedLong.prototype, readLong)
  }

  _write(tap: Tap, value: unknown): void {
    writeLong(tap, value)
  }

  _update(resolver: Internals, writer: Internals): void {
    resolver._read = WHOLE_READERS[writer.typeName] ?? null
  }
}

class GuardedFloat extends avsc.types.FloatType {
  _write(tap: Tap, value: unknown): void {
    tap.writeFloat(finite(value))
  }

  _read(tap: Tap): number {
    return finite(tap.readFloat())
  }

  _update(resolver: Internals, writer: Internals): void {
    resolver._read = NUMBER_READERS[writer.typeName] ?? null
  }
}

class GuardedDouble extends avsc.types.DoubleType {
  _write(tap: Tap, value: unknown): void {
    tap.writeDouble(finite(value))
  }

  _read(tap: Tap): number {
    return finite(tap.readDouble())
  }

  _update(resolver: Internals, writer: Internals): void {
    resolver._read = writer.typeName === 'double' ? (tap) => finite(tap.readDouble()) : (NUMBER_READERS[writer.typeName] ?? null)
  }
}

class GuardedString extends avsc.types.StringType {
  static {
    readWith(GuardedString.prototype, readText)
  }

  _write(tap: Tap, value: unknown): void {
    if (typeof value !== 'string' || !value.isWellFormed()) throw new Error('not a text')
    tap.writeString(value)
  }
}

/** A length that is NaN leaves avsc's pool of memory broken for every later value of the process. */
class GuardedBytes extends avsc.types.BytesType {
  static {
    readWith(GuardedBytes.prototype, readBytes)
  }
}

/** Avro's types without parts, as `guarded-avro.ts` builds with them; null and boolean need no guard. */
export const GUARDED_PRIMITIVES: Readonly<Record<string, avsc.Type>> = {
  int: new GuardedInt(),
  long: new GuardedLong(),
  float: new GuardedFloat(),
  double: new GuardedDouble(),
  string: new GuardedString(),
  bytes: new GuardedBytes(),
}

import type { AvroRecord, AvroSchema, AvroType } from './avro.ts'
import { DEPTH_MAX } from './check.ts'
import { conversionOf, type Wire } from './logical.ts'
import { parseStandalone } from './schema-parser.ts'
import { blockCount, checkEnd, finite, type ReadingTap, readBytes, readFixed, readInt, readInteger, readLong, readText } from './tap.ts'

/**
 * Finds the place where a value stops being one of its schema. It walks the value again, slowly and with the path in
 * hand, and is asked only when decoding has failed already.
 *
 * @param schema the one that the value was written with
 * @returns `lines.3.price`; `''` where nothing but its reader objects to the value
 */
export function whereUnreadable(schema: AvroSchema, bytes: Buffer, start: number): string {
  const walk: Walk = { tap: new ByteTap(bytes, start), path: [], records: 0 }
  try {
    visit(parsed(schema), walk)
    return ''
  } catch {
    return walk.path.join('.')
  }
}

/** Kept: a topic may be full of such values. */
const types = new WeakMap<object, AvroType>()

function parsed(schema: AvroSchema): AvroType {
  if (typeof schema === 'string') return parseStandalone(schema, 'a value')
  const type = types.get(schema) ?? parseStandalone(schema, 'a value')
  types.set(schema, type)
  return type
}

interface Walk {
  readonly tap: ReadingTap
  readonly path: string[]
  records: number
}

function visit(type: AvroType, walk: Walk): void {
  const { tap } = walk
  switch (type.kind) {
    case 'record':
      visitRecord(type, walk)
      break
    case 'array':
      visitBlocks(walk, (index) => inside(walk, String(index), () => visit(type.items, walk)))
      break
    case 'map':
      visitBlocks(walk, () => {
        const key = readText(tap)
        inside(walk, key, () => {
          if (key === '__proto__') throw new Error('a key that no map may have')
          visit(type.values, walk)
        })
      })
      break
    case 'union': {
      const branch = type.branches[readLong(tap)]
      if (branch === undefined) throw new Error('no branch')
      visit(branch, walk)
      break
    }
    default:
      visitLeaf(type, tap)
  }
  if (tap.pos > tap.buf.length) throw new Error('the value ends too early')
}

function visitRecord(type: AvroRecord, walk: Walk): void {
  if (++walk.records > DEPTH_MAX) throw new Error('nested too deep')
  for (const field of type.fields) inside(walk, field.name, () => visit(field.type, walk))
  walk.records--
}

function visitBlocks(walk: Walk, visitItem: (index: number) => void): void {
  const { tap } = walk
  let index = 0
  for (let left = blockCount(tap); left > 0; left = blockCount(tap)) {
    for (; left > 0; left--) {
      visitItem(index++)
      checkEnd(tap)
    }
  }
}

/** What failed leaves its path as it is: that is the answer. */
function inside(walk: Walk, step: string, work: () => void): void {
  walk.path.push(step)
  work()
  walk.path.pop()
}

function visitLeaf(type: Exclude<AvroType, { readonly kind: 'record' | 'array' | 'map' | 'union' }>, tap: ReadingTap): void {
  const wire = readLeaf(type, tap)
  if (wire !== undefined) conversionOf(type)?.fromWire(wire)
}

function readLeaf(type: Exclude<AvroType, { readonly kind: 'record' | 'array' | 'map' | 'union' }>, tap: ReadingTap): Wire | undefined {
  switch (type.kind) {
    case 'null':
      return undefined
    case 'boolean':
      tap.pos++
      return undefined
    case 'int':
      return readInt(tap)
    case 'long':
      return conversionOf(type) === undefined ? readLong(tap) : readInteger(tap)
    case 'float':
      return finite(tap.readFloat())
    case 'double':
      return finite(tap.readDouble())
    case 'string':
      return readText(tap)
    case 'bytes':
      return readBytes(tap)
    case 'fixed':
      return readFixed(tap, type.size)
    case 'enum':
      if (type.symbols[readLong(tap)] === undefined) throw new Error('no symbol')
      return undefined
  }
}

/** Reads as avsc does: what lies behind the end is zero, and the end is looked at afterwards. */
class ByteTap implements ReadingTap {
  readonly buf: Buffer
  pos: number

  constructor(buf: Buffer, pos: number) {
    this.buf = buf
    this.pos = pos
  }

  readLong(): number {
    let zigzag = 0
    let factor = 1
    let byte: number
    do {
      byte = this.buf[this.pos++] ?? 0
      zigzag += (byte & 0x7f) * factor
      factor *= 128
    } while (byte >= 0x80)
    return (zigzag % 2 === 0 ? zigzag : -(zigzag + 1)) / 2
  }

  readFloat(): number {
    this.pos += 4
    return this.pos > this.buf.length ? 0 : this.buf.readFloatLE(this.pos - 4)
  }

  readDouble(): number {
    this.pos += 8
    return this.pos > this.buf.length ? 0 : this.buf.readDoubleLE(this.pos - 8)
  }
}

import type { AvroRecord, AvroType } from './avro.ts'

/** More than any message has; a schema of a few lines can have 2^30, where each record holds the next one twice. */
const PARTS_MAX = 10_000
/** Each is a value that a list may repeat for each of its bytes. */
const EMPTY_PARTS_MAX = 32

/** What a schema is, written out in full: every reference replaced by what it means, each list with one item. */
interface Extent {
  readonly parts: number
  /** Of these, how many take no bytes: null outside a union, and records of nothing else. */
  readonly empty: number
}

const ONE: Extent = { parts: 1, empty: 0 }
const NOTHING: Extent = { parts: 1, empty: 1 }

/**
 * Whether reading a value could cost more than its bytes do: avsc reads on behind their end, until all fields are there.
 *
 * @returns what is wrong with a schema that nothing should be read by, and what to do; `undefined`: nothing
 */
export function extentProblem(type: AvroType): string | undefined {
  const endless = endlessRecord(type)
  if (endless !== undefined)
    return `every value of "${endless}" would contain another one, so that there is none. Make that field a list, or ["null", "${endless}"].`
  const { parts, empty } = extentOf(type, new Map())
  if (parts > PARTS_MAX)
    return `written out in full it has more than ${PARTS_MAX} parts, because its records refer to each other again and again. Make it flatter.`
  if (empty > EMPTY_PARTS_MAX)
    return `it has ${empty} parts that take no bytes (null, records without fields), at most ${EMPTY_PARTS_MAX} are allowed. Remove them.`
  return undefined
}

function extentOf(type: AvroType, known: Map<AvroRecord, Extent>): Extent {
  switch (type.kind) {
    case 'null':
      return NOTHING
    case 'array':
      return sum([extentOf(type.items, known)])
    case 'map':
      return sum([extentOf(type.values, known)])
    case 'union':
      // Its number takes a byte.
      return sum(type.branches.map((branch) => (branch.kind === 'null' ? ONE : extentOf(branch, known))))
    case 'record': {
      const found = known.get(type)
      if (found !== undefined) return found
      // What contains itself is counted once here; how deep a value goes is limited where it is read.
      known.set(type, ONE)
      const whole = sum(type.fields.map((field) => extentOf(field.type, known)))
      const extent = whole.empty === whole.parts - 1 ? { parts: whole.parts, empty: whole.parts } : whole
      known.set(type, extent)
      return extent
    }
    default:
      return ONE
  }
}

function sum(extents: readonly Extent[]): Extent {
  return extents.reduce((all, { parts, empty }) => ({ parts: all.parts + parts, empty: all.empty + empty }), ONE)
}

/** @returns the name of a record of which there can be no value, because each would have to contain another */
function endlessRecord(type: AvroType): string | undefined {
  const open = recordsIn(type, new Set())
  const ended = new Set<AvroRecord>()
  // Those inside come first, so that one round is enough where no record contains itself.
  for (let before = -1; before < ended.size; ) {
    before = ended.size
    for (const record of open) if (record.fields.every((field) => isEnded(field.type, ended))) ended.add(record)
  }
  return [...open].find((record) => !ended.has(record))?.name
}

function isEnded(type: AvroType, ended: ReadonlySet<AvroRecord>): boolean {
  if (type.kind === 'union') return type.branches.some((branch) => isEnded(branch, ended))
  return type.kind !== 'record' || ended.has(type)
}

/** Every record of a schema, those inside before those around them. */
function recordsIn(type: AvroType, found: Set<AvroRecord>, seen = new Set<AvroRecord>()): ReadonlySet<AvroRecord> {
  if (type.kind === 'array') recordsIn(type.items, found, seen)
  else if (type.kind === 'map') recordsIn(type.values, found, seen)
  else if (type.kind === 'union') for (const branch of type.branches) recordsIn(branch, found, seen)
  else if (type.kind === 'record' && !seen.has(type)) {
    seen.add(type)
    for (const field of type.fields) recordsIn(field.type, found, seen)
    found.add(type)
  }
  return found
}

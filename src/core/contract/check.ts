import { nearest } from '../../foundation/options.ts'
import type { AvroEnum, AvroField, AvroRecord, AvroType, AvroUnion } from './avro.ts'
import { valueOfDefault } from './default-value.ts'
import { compileRules } from './field-rules.ts'
import { type Conversion, conversionOf } from './logical.ts'
import { lookOfType, lookOfValue } from './look.ts'

/**
 * Takes any value and returns it as its schema has it: fields in the schema's order, defaults filled in.
 *
 * @throws what its `Refuse` made, for the first place that does not fit
 */
export type Check = (value: unknown) => unknown

/** Makes the error. `problem` continues a sentence that begins with the path; `mend` says what to do. */
export type Refuse = (path: string, problem: string, mend: string) => Error

/** Rules are a business's word on what is made; what was made before may have kept others. */
export type Asked = 'schema and rules' | 'schema only'

/** The path is one list, pushed and popped on the way down: nothing is built while values fit. */
type Visit = (value: unknown, path: string[]) => unknown

interface Compilation {
  readonly asks: Asked
  readonly refuse: (path: readonly string[], problem: string, mend: string) => Error
  readonly records: Map<AvroRecord, Visit>
  /** A value as an error may show it. */
  readonly shown: (value: unknown) => string
  /** How many records the value being checked is inside of. */
  readonly depth: { records: number }
}

const INT_MIN = -(2 ** 31)
const INT_MAX = 2 ** 31 - 1
/** What avsc 5.7.9 writes and reads exactly; below it silently turns the sign. */
export const LONG_MIN = -(2 ** 52)
export const LONG_MAX = 2 ** 53 - 2
export const FLOAT_MAX = 3.4028234663852886e38
/** Records in records: deeper than any message that was meant, shallow enough for the stack. */
export const DEPTH_MAX = 64

/** Builds the check of one schema, once. */
export function compileCheck(type: AvroType, refuse: Refuse, asks: Asked): Check {
  const compilation: Compilation = {
    asks,
    refuse: (path, problem, mend) => refuse(path.join('.'), problem, mend),
    records: new Map(),
    shown,
    depth: { records: 0 },
  }
  const visit = compile(type, compilation)
  return (value) => {
    compilation.depth.records = 0
    return visit(value, [])
  }
}

function compile(type: AvroType, compilation: Compilation): Visit {
  const visit = compileType(type, compilation)
  const rules = compilation.asks === 'schema only' ? undefined : compileRules(type)
  if (rules === undefined) return visit
  return (value, path) => {
    const accepted = visit(value, path)
    const broken = rules.problemOf(accepted)
    if (broken !== undefined) throw compilation.refuse(path, `${broken.problem}, got ${compilation.shown(value)}`, broken.mend)
    return accepted
  }
}

function compileType(type: AvroType, compilation: Compilation): Visit {
  const conversion = conversionOf(type)
  if (conversion !== undefined) return converted(conversion, compilation)
  switch (type.kind) {
    case 'null':
      return expecting(compilation, 'must be null', 'Send null', (value) => value === null)
    case 'boolean':
      return expecting(compilation, 'must be true or false', 'Send a boolean', (value) => typeof value === 'boolean')
    case 'int':
      return wholeNumber(compilation, INT_MIN, INT_MAX, 'between -2147483648 and 2147483647')
    case 'long':
      return wholeNumber(compilation, LONG_MIN, LONG_MAX, 'between -2^52 and 2^53 - 2')
    case 'float':
      return expecting(compilation, 'must be a finite number', 'Send a number that a 32-bit float holds', isFloat)
    case 'double':
      return expecting(compilation, 'must be a finite number', 'Send a number', (value) => Number.isFinite(value))
    case 'string':
      return text(compilation)
    case 'bytes':
      return bytes(compilation, undefined)
    case 'fixed':
      return bytes(compilation, type.size)
    case 'enum':
      return symbol(type, compilation)
    case 'array':
      return items(compile(type.items, compilation), compilation)
    case 'map':
      return entries(compile(type.values, compilation), compilation)
    case 'union':
      return branch(type, compilation)
    case 'record':
      return record(type, compilation)
  }
}

function converted({ accept, expected, mend }: Conversion, { refuse, shown }: Compilation): Visit {
  return (value, path) => {
    const accepted = accept(value)
    if (accepted === undefined) throw refuse(path, `${expected}, got ${shown(value)}`, mend)
    return accepted
  }
}

function expecting({ refuse, shown }: Compilation, problem: string, mend: string, fits: (value: unknown) => boolean): Visit {
  return (value, path) => {
    if (!fits(value)) throw refuse(path, `${problem}, got ${shown(value)}`, mend)
    return value
  }
}

function isFloat(value: unknown): boolean {
  return typeof value === 'number' && Math.abs(value) <= FLOAT_MAX
}

function wholeNumber({ refuse, shown }: Compilation, min: number, max: number, range: string): Visit {
  return (value, path) => {
    if (typeof value !== 'number' || !Number.isInteger(value)) {
      throw refuse(path, `must be an integer, got ${shown(value)}`, 'Send a whole number; for money, minor units (1250)')
    }
    if (value < min || value > max)
      throw refuse(path, `must be an integer ${range}, got ${shown(value)}`, 'Send a smaller number, or a text')
    // -0 is no integer of Avro's.
    return value === 0 ? 0 : value
  }
}

function text({ refuse, shown }: Compilation): Visit {
  return (value, path) => {
    if (typeof value !== 'string') throw refuse(path, `must be a text, got ${shown(value)}`, 'Send a string')
    if (/\p{Surrogate}/u.test(value)) {
      throw refuse(path, 'is not a valid text: half of a surrogate pair stands alone', 'Cut texts between characters, not inside one')
    }
    return value
  }
}

function bytes({ refuse, shown }: Compilation, size: number | undefined): Visit {
  const expected = size === undefined ? 'bytes (a Uint8Array)' : `${size} bytes (a Uint8Array)`
  return (value, path) => {
    if (!(value instanceof Uint8Array) || (size !== undefined && value.length !== size)) {
      const got = value instanceof Uint8Array ? `${value.length} bytes` : shown(value)
      throw refuse(path, `must be ${expected}, got ${got}`, `Send ${expected}`)
    }
    return Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  }
}

function symbol(type: AvroEnum, { refuse, shown }: Compilation): Visit {
  const symbols = new Set<unknown>(type.symbols)
  return (value, path) => {
    if (symbols.has(value)) return value
    const near = typeof value === 'string' ? nearest(value, type.symbols) : undefined
    const list = type.symbols.map((name) => `"${name}"`).join(', ')
    throw refuse(path, `must be one of ${list}, got ${shown(value)}`, near === undefined ? 'Send one of them' : `Send "${near}"`)
  }
}

function items(item: Visit, { refuse, shown }: Compilation): Visit {
  return (value, path) => {
    if (!Array.isArray(value)) throw refuse(path, `must be an array, got ${shown(value)}`, 'Send an array')
    const result: unknown[] = []
    for (let index = 0; index < value.length; index++) {
      path.push(String(index))
      result.push(item(value[index], path))
      path.pop()
    }
    return result
  }
}

function entries(entry: Visit, compilation: Compilation): Visit {
  const key = text(compilation)
  return (value, path) => {
    if (!isPlainObject(value))
      throw compilation.refuse(
        path,
        `must be an object, got ${compilation.shown(value)}`,
        'Send a plain object (Object.fromEntries of a Map)',
      )
    const result: Record<string, unknown> = {}
    for (const name of Object.keys(value)) {
      path.push(name)
      if (name === '__proto__') throw compilation.refuse(path, 'is a key that no map may have', 'Choose another key')
      key(name, path)
      result[name] = entry(value[name], path)
      path.pop()
    }
    return result
  }
}

/** The branches look different in JavaScript (the parser sees to it), so the value itself chooses. */
function branch(type: AvroUnion, compilation: Compilation): Visit {
  const nullable = type.branches.some((each) => each.kind === 'null')
  const others = type.branches.filter((each) => each.kind !== 'null')
  const visits = new Map(others.map((each) => [lookOfType(each), compile(each, compilation)]))
  const only = visits.size === 1 ? [...visits.values()][0] : undefined
  const expected = type.branches.map((each) => each.kind).join(' or ')
  return (value, path) => {
    if (nullable && value === null) return null
    const chosen = only ?? visits.get(lookOfValue(value))
    if (chosen === undefined) throw compilation.refuse(path, `must be ${expected}, got ${compilation.shown(value)}`, 'Send one of these')
    return chosen(value, path)
  }
}

interface FieldVisit {
  readonly name: string
  readonly field: AvroField
  readonly visit: Visit
}

function record(type: AvroRecord, compilation: Compilation): Visit {
  const compiled = compilation.records.get(type)
  if (compiled !== undefined) return compiled
  const fields: FieldVisit[] = []
  const names = type.fields.map((field) => field.name)
  const known = new Set(names)
  const { refuse, depth } = compilation
  const visit: Visit = (value, path) => {
    if (!isPlainObject(value))
      throw refuse(path, `must be an object, got ${compilation.shown(value)}`, `Send an object with ${names.join(', ') || 'no fields'}`)
    if (++depth.records > DEPTH_MAX) throw refuse(path.slice(0, 3), `is nested deeper than ${DEPTH_MAX} records`, 'Send a flatter message')
    // Before the fields: "totl" explains why "total" is missing.
    for (const name of Object.keys(value)) if (!known.has(name)) throw unknownField(name, names, path, compilation)
    const result: Record<string, unknown> = {}
    for (const { name, field, visit: fieldVisit } of fields) {
      const fieldValue = value[name]
      path.push(name)
      result[name] = fieldValue === undefined ? leftOut(field, path, compilation) : fieldVisit(fieldValue, path)
      path.pop()
    }
    depth.records--
    return result
  }
  // Known before its fields are compiled: a record may contain itself.
  compilation.records.set(type, visit)
  // The records inside a tagged field are compiled for it alone: elsewhere their values may be shown.
  const discreet: Compilation = compilation.shown === kindOf ? compilation : { ...compilation, records: new Map(), shown: kindOf }
  for (const field of type.fields)
    fields.push({ name: field.name, field, visit: compile(field.type, field.tags.length === 0 ? compilation : discreet) })
  return visit
}

function leftOut(field: AvroField, path: readonly string[], { refuse }: Compilation): unknown {
  if (field.default === undefined) throw refuse(path, 'is missing', 'Send it')
  return valueOfDefault(field.type, field.default)
}

function unknownField(name: string, names: readonly string[], path: readonly string[], { refuse }: Compilation): Error {
  const near = nearest(name, names)
  const mend = near === undefined ? 'Remove it' : `Send it as "${near}"`
  return refuse([...path, name], 'is not a field of its schema', mend)
}

/** Whatever is no array, Map, Date or bytes: a received message's data may be sent on. */
function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null || Object.prototype.toString.call(value) === '[object Object]'
}

/** What kind of value it is, of a field whose tags ask for discretion. */
function kindOf(value: unknown): string {
  if (typeof value === 'string') return `a text of ${value.length} characters`
  return typeof value === 'object' || value === undefined ? shown(value) : `a ${typeof value}`
}

function shown(value: unknown): string {
  if (typeof value === 'string') return value.length > 40 ? `a text of ${value.length} characters` : JSON.stringify(value)
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value)
  if (typeof value === 'bigint') return `the bigint ${value}n`
  if (value === undefined) return 'nothing'
  if (typeof value !== 'object') return `a ${typeof value}`
  return Array.isArray(value) ? 'an array' : `an object (${Object.prototype.toString.call(value).slice(8, -1)})`
}

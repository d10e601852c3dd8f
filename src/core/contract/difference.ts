import { isJsonObject } from './avro.ts'

/** One thing that is not the same in two schema files. */
export interface Difference {
  /** JSON pointer into the newer file; for what is gone, into the older one. */
  readonly pointer: string
  readonly side: 'before' | 'after'
  /** In words: `"total" was int and is long`. */
  readonly text: string
}

/**
 * What changed from one schema to another, field by field and in words. It describes; whether it breaks somebody is for
 * `incompatibilities` to say.
 *
 * @param before as JSON, as it stands in its file
 * @returns in the order of the newer schema; none when both say the same
 */
export function differences(before: unknown, after: unknown): readonly Difference[] {
  const comparison = new Comparison()
  comparison.schemas(before, after, { before: '', after: '' }, 'the schema')
  return comparison.found
}

interface Pointers {
  readonly before: string
  readonly after: string
}

class Comparison {
  readonly found: Difference[] = []

  schemas(before: unknown, after: unknown, at: Pointers, subject: string): void {
    if (same(before, after)) return
    const [a, b] = [asObject(before), asObject(after)]
    if (a !== undefined && b !== undefined && same(a['type'], b['type']) && typeof a['type'] === 'string') {
      for (const name of keysOf(a, b)) this.#attribute(name, a, b, at, subject)
    } else if (Array.isArray(before) && Array.isArray(after) && same(before.map(outline), after.map(outline))) {
      for (const [index, branch] of after.entries()) this.schemas(before[index], branch, step(at, `/${index}`), subject)
    } else {
      this.#add('after', at, `${subject} was ${shownType(before)} and is ${shownType(after)}`)
    }
  }

  #attribute(name: string, before: Json, after: Json, at: Pointers, subject: string): void {
    const [a, b, here] = [before[name], after[name], step(at, `/${name}`)]
    if (same(a, b)) return
    if (name === 'fields' && Array.isArray(a) && Array.isArray(b)) this.#fields(a, b, here)
    else if (name === 'symbols' && Array.isArray(a) && Array.isArray(b)) this.#symbols(a, b, here, subject)
    else if (name === 'items' || name === 'values') this.schemas(a, b, here, `${name} of ${subject}`)
    else if (name === 'doc') this.#add('after', here, `the description of ${subject} changed`)
    else if (isJsonObject(a) && isJsonObject(b)) for (const inner of keysOf(a, b)) this.#attribute(inner, a, b, here, subject)
    else if (a === undefined) this.#add('after', here, `${name} of ${subject} is new: ${JSON.stringify(b)}`)
    else if (b === undefined) this.#add('before', here, `${name} of ${subject} is gone; it was ${JSON.stringify(a)}`)
    else this.#add('after', here, `${name} of ${subject} was ${JSON.stringify(a)} and is ${JSON.stringify(b)}`)
  }

  #fields(before: readonly unknown[], after: readonly unknown[], at: Pointers): void {
    const older = new Map(before.map((field, index) => [nameOf(field), index]))
    const newer = new Set(after.map(nameOf))
    for (const [index, field] of after.entries()) {
      const name = nameOf(field)
      const was = older.get(name)
      if (was === undefined) this.#add('after', step(at, `/${index}`), `"${name}" is new: ${shownField(field)}`)
      else this.#field(asObject(before[was]) ?? {}, asObject(field) ?? {}, { before: `${at.before}/${was}`, after: `${at.after}/${index}` })
    }
    for (const [name, index] of older)
      if (!newer.has(name)) this.#add('before', step(at, `/${index}`), `"${name}" is gone; it was ${shownField(before[index])}`)
    const kept = [...older.keys()].filter((name) => newer.has(name))
    if (
      !same(
        kept,
        after.map(nameOf).filter((name) => older.has(name)),
      )
    )
      this.#add('after', at, 'the fields stand in another order, which is that of the bytes')
  }

  #field(before: Json, after: Json, at: Pointers): void {
    const subject = `"${nameOf(after)}"`
    for (const name of keysOf(before, after)) {
      if (name === 'type') this.schemas(before['type'], after['type'], step(at, '/type'), subject)
      else this.#attribute(name, before, after, at, subject)
    }
  }

  #symbols(before: readonly unknown[], after: readonly unknown[], at: Pointers, subject: string): void {
    for (const [index, symbol] of after.entries())
      if (!before.includes(symbol)) this.#add('after', step(at, `/${index}`), `the symbol ${JSON.stringify(symbol)} of ${subject} is new`)
    for (const [index, symbol] of before.entries())
      if (!after.includes(symbol)) this.#add('before', step(at, `/${index}`), `the symbol ${JSON.stringify(symbol)} of ${subject} is gone`)
    const kept = before.filter((symbol) => after.includes(symbol))
    if (
      !same(
        kept,
        after.filter((symbol) => before.includes(symbol)),
      )
    )
      this.#add('after', at, `the symbols of ${subject} stand in another order, which is that of the bytes`)
  }

  #add(side: Difference['side'], at: Pointers, text: string): void {
    this.found.push({ pointer: at[side], side, text })
  }
}

type Json = Record<string, unknown>

/** `"int"` and `{"type": "int"}` are the same to Avro. */
function asObject(schema: unknown): Json | undefined {
  if (typeof schema === 'string') return { type: schema }
  return isJsonObject(schema) ? schema : undefined
}

/** Which branch of a union it is, whatever is inside. */
function outline(schema: unknown): unknown {
  const object = asObject(schema)
  return object === undefined ? schema : [object['type'], object['name']]
}

function keysOf(a: Json, b: Json): string[] {
  return [...new Set([...Object.keys(b), ...Object.keys(a)])]
}

function nameOf(field: unknown): string {
  return isJsonObject(field) ? String(field['name']) : '?'
}

function shownField(field: unknown): string {
  const json = isJsonObject(field) ? field : {}
  const fallback = json['default'] === undefined ? '' : `, default ${JSON.stringify(json['default'])}`
  return shownType(json['type']) + fallback
}

/** As short as it can be read: `array of string`, `decimal(9, 2)`, `null or shop.common.Money`. */
function shownType(schema: unknown): string {
  if (typeof schema === 'string') return schema
  if (Array.isArray(schema)) return schema.map(shownType).join(' or ')
  if (!isJsonObject(schema)) return JSON.stringify(schema) ?? 'nothing'
  const { type, logicalType, precision, scale = 0 } = schema
  if (typeof logicalType === 'string')
    return precision === undefined
      ? `${logicalType} (${shownType(type)})`
      : `${logicalType}(${JSON.stringify(precision)}, ${JSON.stringify(scale)})`
  if (type === 'array') return `array of ${shownType(schema['items'])}`
  if (type === 'map') return `map of ${shownType(schema['values'])}`
  return typeof schema['name'] === 'string' ? `${shownType(type)} ${schema['name']}` : shownType(type)
}

function step(at: Pointers, name: string): Pointers {
  return { before: at.before + name, after: at.after + name }
}

/** Equal as JSON, whatever the order of attributes. */
function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(ordered(a)) === JSON.stringify(ordered(b))
}

function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered)
  if (!isJsonObject(value)) return value
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, ordered(value[key])]),
  )
}

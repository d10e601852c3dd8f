import type { ConfigurationError } from '../../foundation/errors.ts'
import { nearest } from '../../foundation/options.ts'
import { annotate, annotateField, fixedDecimal, tagsOf } from './annotations.ts'
import type { AvroEnum, AvroField, AvroFixed, AvroNamed, AvroRecord, AvroSchema, AvroType, AvroUnion, SchemaSource } from './avro.ts'
import { isJsonObject, isPrimitiveName, isZeroWidth, PRIMITIVES, schemaError } from './avro.ts'
import { defaultProblem } from './default-value.ts'
import { type Look, lookOfType } from './look.ts'
import { extentProblem } from './schema-extent.ts'

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
/** Types in types: deeper than any that was meant, shallow enough for the stack of whoever walks them. */
const DEPTH_MAX = 64
const FULL_NAME = /^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$/

/**
 * Understands one Avro schema.
 *
 * @throws ConfigurationError `SCHEMA_INVALID`: names the place as a JSON pointer, and what to do
 */
export function parseSchema(schema: unknown, source: SchemaSource): AvroType {
  return new SchemaParser(source).whole(schema)
}

/** A schema that refers to nothing outside itself. */
export function parseStandalone(schema: AvroSchema, where: string): AvroType {
  return parseSchema(schema, { where, resolve: () => undefined, owns: () => false })
}

class SchemaParser {
  readonly #source: SchemaSource
  readonly #named = new Map<string, AvroNamed>()
  /** Types that what is being parsed is inside of. */
  #depth = 0
  /** Looked at in the end: a record that contains itself has no fields while it is parsed. */
  readonly #arrays: { readonly items: AvroType; readonly pointer: string }[] = []

  constructor(source: SchemaSource) {
    this.#source = source
  }

  whole(schema: unknown): AvroType {
    const type = this.#parse(schema, '', '')
    const problem = extentProblem(type)
    if (problem !== undefined) throw this.#error('', problem)
    for (const { items, pointer } of this.#arrays) {
      if (!isZeroWidth(items)) continue
      throw this.#error(
        pointer,
        'items that take no bytes (null, an empty record) are refused: a few bytes could announce millions. Use a count.',
      )
    }
    return type
  }

  #parse(schema: unknown, pointer: string, namespace: string): AvroType {
    if (typeof schema === 'string') return this.#reference(schema, pointer, namespace)
    if (++this.#depth > DEPTH_MAX) throw this.#error('', `it is nested deeper than ${DEPTH_MAX} types. Make it flatter.`)
    const type = this.#nested(schema, pointer, namespace)
    this.#depth--
    return type
  }

  #nested(schema: unknown, pointer: string, namespace: string): AvroType {
    if (Array.isArray(schema)) return this.#union(schema, pointer, namespace)
    if (!isJsonObject(schema)) throw this.#error(pointer, 'a schema is a name, a list of branches, or an object with "type".')
    const type = this.#complex(schema, pointer, namespace)
    // What is said beside a record, an enum or a fixed is about its definition; what is said beside a name, about a use.
    return annotate(type, schema, this.#refuser(pointer))
  }

  #complex(schema: Record<string, unknown>, pointer: string, namespace: string): AvroType {
    switch (schema['type']) {
      case 'array': {
        const items = this.#parse(schema['items'], `${pointer}/items`, namespace)
        this.#arrays.push({ items, pointer: `${pointer}/items` })
        return { kind: 'array', items }
      }
      case 'map':
        return { kind: 'map', values: this.#parse(schema['values'], `${pointer}/values`, namespace) }
      case 'enum':
        return this.#enum(schema, pointer, namespace)
      case 'fixed':
        return this.#fixed(schema, pointer, namespace)
      case 'record':
        return this.#record(schema, pointer, namespace)
      case 'error':
        throw this.#error(`${pointer}/type`, '"error" belongs to Avro RPC. Write "record".')
      default:
        return this.#parse(schema['type'], `${pointer}/type`, namespace)
    }
  }

  #reference(name: string, pointer: string, namespace: string): AvroType {
    if (isPrimitiveName(name)) return { kind: name }
    const full = name.includes('.') || namespace === '' ? name : `${namespace}.${name}`
    const found = this.#named.get(full) ?? this.#source.resolve(full, pointer)
    if (found !== undefined) return found
    const near = nearest(name, [...PRIMITIVES, ...this.#named.keys()])
    const hint = near === undefined ? '' : ` (did you mean "${near}"?)`
    throw this.#error(
      pointer,
      `"${full}" is neither an Avro type nor defined by a schema file${hint}. Correct the name, or add its file <domain>/<Name>.v1.avsc.`,
    )
  }

  #union(branches: readonly unknown[], pointer: string, namespace: string): AvroUnion {
    const parsed = branches.map((branch, index) => this.#parse(branch, `${pointer}/${index}`, namespace))
    if (parsed.length === 0) throw this.#error(pointer, 'a union needs at least one branch.')
    // JavaScript has one number, one text and one object: a union of two that look alike cannot be told apart.
    const looks = new Map<Look, AvroType>()
    parsed.forEach((branch, index) => {
      if (branch.kind === 'union')
        throw this.#error(`${pointer}/${index}`, 'a union cannot stand directly in a union. Write its branches here.')
      const look = lookOfType(branch)
      const twin = looks.get(look)
      if (twin !== undefined)
        throw this.#error(
          `${pointer}/${index}`,
          `${branch.kind} cannot be told from ${twin.kind} in JavaScript. Keep one of them, or wrap them in records with a field of their own.`,
        )
      looks.set(look, branch)
    })
    return { kind: 'union', branches: parsed }
  }

  #enum(schema: Record<string, unknown>, pointer: string, namespace: string): AvroEnum {
    const symbols = this.#texts(schema['symbols'], `${pointer}/symbols`)
    for (const [index, symbol] of symbols.entries()) this.#checkName(symbol, `${pointer}/symbols/${index}`)
    if (symbols.length === 0 || new Set(symbols).size !== symbols.length)
      throw this.#error(`${pointer}/symbols`, 'an enum needs at least one symbol, each once.')
    const fallback = schema['default']
    if (fallback !== undefined && (typeof fallback !== 'string' || !symbols.includes(fallback)))
      throw this.#error(`${pointer}/default`, 'the default of an enum is one of its symbols.')
    return this.#define({ kind: 'enum', ...this.#head(schema, pointer, namespace), symbols, fallback }, pointer)
  }

  #fixed(schema: Record<string, unknown>, pointer: string, namespace: string): AvroFixed {
    const size = schema['size']
    if (typeof size !== 'number' || !Number.isInteger(size) || size < 1)
      throw this.#error(`${pointer}/size`, '"size" is a number of bytes, at least 1.')
    const logical = fixedDecimal(schema, size, this.#refuser(pointer))
    return this.#define({ kind: 'fixed', ...this.#head(schema, pointer, namespace), size, ...logical }, pointer)
  }

  #record(schema: Record<string, unknown>, pointer: string, namespace: string): AvroRecord {
    const head = this.#head(schema, pointer, namespace)
    const inside = head.name.includes('.') ? head.name.slice(0, head.name.lastIndexOf('.')) : ''
    const fields: AvroField[] = []
    // Registered before its fields are read: a record may contain itself.
    const record = this.#define({ kind: 'record', ...head, fields }, pointer)
    if (!Array.isArray(schema['fields'])) throw this.#error(`${pointer}/fields`, 'a record needs "fields": a list, possibly empty.')
    schema['fields'].forEach((field: unknown, index) => {
      const at = `${pointer}/fields/${index}`
      const parsed = this.#field(field, at, inside)
      if (fields.some((other) => other.name === parsed.name)) throw this.#error(`${at}/name`, `the field "${parsed.name}" is there twice.`)
      fields.push(parsed)
    })
    return record
  }

  #field(field: unknown, pointer: string, namespace: string): AvroField {
    if (!isJsonObject(field)) throw this.#error(pointer, 'a field is an object with "name" and "type".')
    const name = this.#checkName(field['name'], `${pointer}/name`)
    const refuse = this.#refuser(pointer)
    const type = annotateField(this.#parse(field['type'], `${pointer}/type`, namespace), field, refuse)
    const fallback = field['default']
    const problem = fallback === undefined ? undefined : defaultProblem(type, fallback)
    if (problem !== undefined) throw this.#error(`${pointer}/default`, problem)
    const aliases = this.#texts(field['aliases'] ?? [], `${pointer}/aliases`)
    return { name, doc: text(field['doc']), aliases, type, default: fallback, tags: tagsOf(field, refuse) }
  }

  #head(schema: Record<string, unknown>, pointer: string, namespace: string): Pick<AvroNamed, 'name' | 'doc' | 'aliases'> {
    const own = schema['namespace']
    if (own !== undefined && (typeof own !== 'string' || (own !== '' && !FULL_NAME.test(own))))
      throw this.#error(`${pointer}/namespace`, 'a namespace is names joined by dots: "shop.orders".')
    const name = schema['name']
    const space = own ?? namespace
    const full = typeof name === 'string' && (name.includes('.') || space === '') ? name : `${space}.${String(name)}`
    if (typeof name !== 'string' || !FULL_NAME.test(full))
      throw this.#error(`${pointer}/name`, 'a name is letters, digits and _, and does not start with a digit.')
    this.#checkName(full.slice(full.lastIndexOf('.') + 1), `${pointer}/name`)
    const prefix = full.slice(0, full.lastIndexOf('.') + 1)
    const aliases = this.#texts(schema['aliases'] ?? [], `${pointer}/aliases`).map((alias) =>
      alias.includes('.') ? alias : prefix + alias,
    )
    return { name: full, doc: text(schema['doc']), aliases }
  }

  #define<T extends AvroNamed>(type: T, pointer: string): T {
    if (this.#named.has(type.name) || (pointer !== '' && this.#source.owns(type.name))) {
      throw this.#error(`${pointer}/name`, `"${type.name}" is defined twice. Define it once and refer to it by its name.`)
    }
    this.#named.set(type.name, type)
    return type
  }

  #checkName(name: unknown, pointer: string): string {
    if (typeof name !== 'string' || !NAME.test(name))
      throw this.#error(pointer, 'a name is letters, digits and _, and does not start with a digit.')
    // `constructor`, `toString`, `__proto__`: every JavaScript object has them already.
    if (name in Object.prototype)
      throw this.#error(pointer, `"${name}" is a name that every JavaScript object has already. Choose another.`)
    return name
  }

  #texts(value: unknown, pointer: string): string[] {
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) throw this.#error(pointer, 'this is a list of texts.')
    return value
  }

  #refuser(pointer: string): (attribute: string, problem: string) => ConfigurationError {
    return (attribute, problem) => this.#error(attribute === '' ? pointer : `${pointer}/${attribute.replaceAll('/', '~1')}`, problem)
  }

  #error(pointer: string, problem: string): ConfigurationError {
    return schemaError(this.#source.where, pointer, problem)
  }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

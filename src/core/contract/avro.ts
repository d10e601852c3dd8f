import { ConfigurationError } from '../../foundation/errors.ts'

/** An Avro schema as JSON, before it is understood. */
export type AvroSchema = string | readonly AvroSchema[] | { readonly [attribute: string]: unknown }

export type AvroPrimitiveName = 'null' | 'boolean' | 'int' | 'long' | 'float' | 'double' | 'bytes' | 'string'

/** An Avro schema that was understood: references are resolved, names are full. */
export type AvroType = AvroPrimitive | AvroArray | AvroMap | AvroUnion | AvroNamed
export type AvroNamed = AvroRecord | AvroEnum | AvroFixed

export interface AvroPrimitive {
  readonly kind: AvroPrimitiveName
  /** What the number, the text or the bytes mean; it does not change the bytes of a value. */
  readonly logical?: LogicalType
  /** `x-js` of a long: a `bigint`, and with it the whole range of 64 bits. */
  readonly js?: 'bigint'
  readonly rules?: FieldRules
}
export interface AvroArray {
  readonly kind: 'array'
  readonly items: AvroType
  readonly rules?: FieldRules
}
export interface AvroMap {
  readonly kind: 'map'
  readonly values: AvroType
  readonly rules?: FieldRules
}
export interface AvroUnion {
  readonly kind: 'union'
  readonly branches: readonly AvroType[]
}
export interface AvroEnum {
  readonly kind: 'enum'
  readonly name: string
  readonly doc: string | undefined
  readonly aliases: readonly string[]
  readonly symbols: readonly string[]
  readonly fallback: string | undefined
}
export interface AvroFixed {
  readonly kind: 'fixed'
  readonly name: string
  readonly doc: string | undefined
  readonly aliases: readonly string[]
  readonly size: number
  readonly logical?: DecimalType
}
export interface AvroRecord {
  readonly kind: 'record'
  readonly name: string
  readonly doc: string | undefined
  readonly aliases: readonly string[]
  readonly fields: readonly AvroField[]
}
export interface AvroField {
  readonly name: string
  readonly doc: string | undefined
  readonly aliases: readonly string[]
  readonly type: AvroType
  /** As JSON, which is how Avro writes defaults; `undefined`: the field must be given. */
  readonly default: unknown
  /** `confluent:tags`, such as `PII`: values of tagged fields stand in no error message. */
  readonly tags: readonly string[]
}

export type LogicalType = SimpleLogicalType | DecimalType
export interface SimpleLogicalType {
  readonly name: 'date' | 'timestamp-millis' | 'timestamp-micros' | 'uuid'
}
export interface DecimalType {
  readonly name: 'decimal'
  readonly precision: number
  readonly scale: number
}

/** What a business asks of a value beyond its type, in the attributes `x-min`, `x-max`, …; Avro ignores them. */
export interface FieldRules {
  /** Bounds, both allowed. As text where a JSON number is not exact: decimals, and a long as bigint. */
  readonly min?: number | string
  readonly max?: number | string
  /** Of a text in UTF-16 units, of bytes, of a list or a map in entries. */
  readonly minLength?: number
  readonly maxLength?: number
  /** A regular expression with the flag `u`; anchor it with `^` and `$` where the whole text is meant. */
  readonly pattern?: string
}

/** Where a schema stands, and what it may refer to. */
export interface SchemaSource {
  /** A file's name or a contract's type, for messages. */
  readonly where: string
  /** @returns the schema of another file, which `pointer` refers to; `undefined` when no file has that name */
  resolve(name: string, pointer: string): AvroNamed | undefined
  /** Whether another file defines that name. */
  owns(name: string): boolean
}

export const PRIMITIVES: readonly AvroPrimitiveName[] = ['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string']
/** The error of every schema file and every definition that cannot be used. */
export function schemaError(where: string, pointer: string, problem: string): ConfigurationError {
  return new ConfigurationError('SCHEMA_INVALID', `${where}#${pointer}: ${problem}`, { where, pointer })
}

export function isPrimitiveName(name: string): name is AvroPrimitiveName {
  return PRIMITIVES.some((primitive) => primitive === name)
}

/** Whether a value takes no bytes: a few bytes of input could then announce millions of them. */
export function isZeroWidth(type: AvroType, seen: readonly AvroRecord[] = []): boolean {
  if (type.kind === 'null') return true
  if (type.kind === 'fixed') return type.size === 0
  if (type.kind !== 'record' || seen.includes(type)) return false
  return type.fields.every((field) => isZeroWidth(field.type, [...seen, type]))
}

export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * The schema as JSON again, with nothing that it refers to outside: full names, each definition where it is
 * used first, and only the attributes that change bytes or values, or say what a value may be.
 */
export function toSchema(type: AvroType, where: string, defined: Map<string, AvroNamed> = new Map()): AvroSchema {
  const inner = (part: AvroType): AvroSchema => toSchema(part, where, defined)
  if (type.kind === 'array') return { type: 'array', items: inner(type.items), ...ruleAttributes(type.rules) }
  if (type.kind === 'map') return { type: 'map', values: inner(type.values), ...ruleAttributes(type.rules) }
  if (type.kind === 'union') return type.branches.map(inner)
  if (!isNamed(type)) return primitiveSchema(type)
  const twin = defined.get(type.name)
  if (twin === type) return type.name
  if (twin !== undefined) {
    throw schemaError(where, '', `two versions of "${type.name}" meet in this schema, and Avro knows a name once. Refer to one of them.`)
  }
  defined.set(type.name, type)
  const head = { name: type.name, ...(type.aliases.length === 0 ? {} : { aliases: type.aliases }) }
  if (type.kind === 'fixed') return { type: 'fixed', ...head, size: type.size, ...logicalAttributes(type.logical) }
  if (type.kind === 'enum') return { type: 'enum', ...head, symbols: type.symbols, ...given('default', type.fallback) }
  const fields = type.fields.map((field) => ({
    name: field.name,
    type: inner(field.type),
    ...given('default', field.default),
    ...(field.aliases.length === 0 ? {} : { aliases: field.aliases }),
    ...(field.tags.length === 0 ? {} : { 'confluent:tags': field.tags }),
  }))
  return { type: 'record', ...head, fields }
}

function primitiveSchema(type: AvroPrimitive): AvroSchema {
  const attributes = { ...logicalAttributes(type.logical), ...given('x-js', type.js), ...ruleAttributes(type.rules) }
  return Object.keys(attributes).length === 0 ? type.kind : { type: type.kind, ...attributes }
}

function logicalAttributes(logical: LogicalType | undefined): Record<string, unknown> {
  if (logical === undefined) return {}
  const { name, ...parameters } = logical
  return { logicalType: name, ...parameters }
}

function ruleAttributes(rules: FieldRules | undefined): Record<string, unknown> {
  return {
    ...given('x-min', rules?.min),
    ...given('x-max', rules?.max),
    ...given('x-min-length', rules?.minLength),
    ...given('x-max-length', rules?.maxLength),
    ...given('x-pattern', rules?.pattern),
  }
}

function given(attribute: string, value: unknown): Record<string, unknown> {
  return value === undefined ? {} : { [attribute]: value }
}

export function isNamed(type: AvroType): type is AvroNamed {
  return type.kind === 'record' || type.kind === 'enum' || type.kind === 'fixed'
}

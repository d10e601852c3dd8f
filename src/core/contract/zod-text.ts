import type { AvroField, AvroNamed, AvroPrimitive, AvroType, FieldRules } from './avro.ts'
import { valueOfDefault } from './default-value.ts'
import { literal, quoted, valueText } from './literal.ts'

/** What the zod schema of a type is called, and whether it may not be there yet when the file is evaluated. */
export type SchemaNames = (type: AvroNamed) => { readonly name: string; readonly isLate: boolean }

/** The zod schema of a named type. @param key the field that must not be empty, because it puts messages in order */
export function schemaText(type: AvroNamed, key: string | null, nameOf: SchemaNames, before: number): string {
  if (type.kind === 'enum') return `z.enum(${literal(type.symbols, 0, before + 'z.enum('.length + 1)})`
  if (type.kind === 'fixed')
    return type.logical === undefined ? `avro.fixed(${type.size})` : call('decimal', decimalOptions(type.logical, {}))
  if (type.fields.length === 0) return 'z.strictObject({})'
  const fields = type.fields.map((field) => fieldText(field, field.name === key, nameOf))
  return `z.strictObject({\n${fields.join('')}})`
}

function fieldText(field: AvroField, isKey: boolean, nameOf: SchemaNames): string {
  const type = isKey ? withoutEmpty(field.type) : field.type
  let isLate = false
  const text = typeSchema(type, (named) => {
    const found = nameOf(named)
    isLate ||= found.isLate
    return found.name
  })
  const whole = text + defaultText(field)
  return `  ${field.name}: ${isLate ? `z.lazy(() => ${whole})` : whole},\n`
}

/** An empty key would put unrelated messages into one order. */
function withoutEmpty(type: AvroType): AvroType {
  if (type.kind !== 'string' || type.logical !== undefined || (type.rules?.minLength ?? 0) > 0) return type
  return { ...type, rules: { ...type.rules, minLength: 1 } }
}

function typeSchema(type: AvroType, nameOf: (type: AvroNamed) => string): string {
  switch (type.kind) {
    case 'record':
    case 'enum':
    case 'fixed':
      return nameOf(type)
    case 'null':
    case 'boolean':
      return `z.${type.kind}()`
    case 'array': {
      const length = objectText(lengths(type.rules))
      const item = typeSchema(type.items, nameOf)
      return length === '' ? `z.array(${item})` : `avro.array(${item}, ${length})`
    }
    case 'map': {
      const length = objectText(lengths(type.rules))
      return `avro.map(${typeSchema(type.values, nameOf)}${length === '' ? '' : `, ${length}`})`
    }
    case 'union': {
      const values = type.branches.filter((branch) => branch.kind !== 'null')
      const [only] = values
      if (values.length === 1 && only !== undefined && values.length < type.branches.length) return `${typeSchema(only, nameOf)}.nullable()`
      return `z.union([${type.branches.map((branch) => typeSchema(branch, nameOf)).join(', ')}])`
    }
    default:
      return primitiveText(type)
  }
}

const LOGICAL = { date: 'date', 'timestamp-millis': 'timestampMillis', 'timestamp-micros': 'timestampMicros', uuid: 'uuid' } as const

function primitiveText(type: AvroPrimitive): string {
  const rules = type.rules ?? {}
  if (type.logical !== undefined)
    return type.logical.name === 'decimal' ? call('decimal', decimalOptions(type.logical, rules)) : call(LOGICAL[type.logical.name], {})
  if (type.js === 'bigint')
    return call(
      'bigint',
      bounds(rules, (bound) => BigInt(bound)),
    )
  if (type.kind === 'string')
    return call('string', { ...lengths(rules), ...(rules.pattern === undefined ? {} : { pattern: rules.pattern }) })
  return call(type.kind, type.kind === 'bytes' ? lengths(rules) : bounds(rules, Number))
}

function decimalOptions(type: { readonly precision: number; readonly scale: number }, rules: FieldRules): Record<string, unknown> {
  return { precision: type.precision, scale: type.scale, ...bounds(rules, String) }
}

function bounds({ min, max }: FieldRules, of: (bound: number | string) => unknown): Record<string, unknown> {
  return { ...(min === undefined ? {} : { min: of(min) }), ...(max === undefined ? {} : { max: of(max) }) }
}

function lengths({ minLength, maxLength }: FieldRules = {}): Record<string, unknown> {
  return { ...(minLength === undefined ? {} : { min: minLength }), ...(maxLength === undefined ? {} : { max: maxLength }) }
}

function call(name: string, options: Record<string, unknown>): string {
  return `avro.${name}(${objectText(options)})`
}

function objectText(options: Record<string, unknown>): string {
  return Object.keys(options).length === 0 ? '' : valueText(options)
}

/** What can be changed is made anew for each value. */
function defaultText(field: AvroField): string {
  if (field.default === undefined) return ''
  const value = valueOfDefault(field.type, field.default)
  if (typeof value !== 'object' || value === null) return `.default(${valueText(value)})`
  const text = valueText(value)
  return `.default(() => ${text.startsWith('{') ? `(${text})` : text})`
}

/** A default as a comment tells it. */
export function defaultHint(field: AvroField): string {
  const value = valueOfDefault(field.type, field.default)
  return typeof value === 'string' ? quoted(value) : valueText(value)
}

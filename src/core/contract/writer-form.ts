import { isJsonObject } from './avro.ts'
import { PRECISION_MAX } from './decimal.ts'

/** Which logical types are understood, and of which type Avro allows them. */
const LOGICAL: Readonly<Record<string, readonly string[]>> = {
  date: ['int'],
  'timestamp-millis': ['long'],
  'timestamp-micros': ['long'],
  uuid: ['string'],
  decimal: ['bytes', 'fixed'],
}

/** Everything else (doc, defaults, aliases, `avro.java.string`) says nothing about the bytes that a writer made. */
const KEPT = ['type', 'name', 'namespace', 'symbols', 'size', 'items', 'values'] as const
const DEPTH_MAX = 100

/**
 * What counts of a foreign schema when it is only read with.
 *
 * Our own schema files are held to more rules than a stranger's: a logical type that is not known, or does not fit,
 * is ignored here, as Avro asks of readers.
 *
 * @throws Error it is nested too deeply
 */
export function writerForm(schema: unknown, depth = 0): unknown {
  if (depth > DEPTH_MAX) throw new Error(`the schema is nested deeper than ${DEPTH_MAX} levels`)
  if (Array.isArray(schema)) return schema.map((branch) => writerForm(branch, depth + 1))
  if (!isJsonObject(schema)) return schema
  const form: Record<string, unknown> = {}
  for (const name of KEPT) {
    if (!Object.hasOwn(schema, name)) continue
    form[name] = name === 'type' || name === 'items' || name === 'values' ? writerForm(schema[name], depth + 1) : schema[name]
  }
  if (Array.isArray(schema['fields'])) form['fields'] = schema['fields'].map((field: unknown) => fieldForm(field, depth + 1))
  return { ...form, ...logicalForm(schema) }
}

function fieldForm(field: unknown, depth: number): unknown {
  return isJsonObject(field) ? { name: field['name'], type: writerForm(field['type'], depth) } : field
}

function logicalForm(schema: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { logicalType, type } = schema
  if (typeof logicalType !== 'string' || typeof type !== 'string') return {}
  if (!Object.hasOwn(LOGICAL, logicalType) || LOGICAL[logicalType]?.includes(type) !== true) return {}
  return logicalType === 'decimal' ? decimalForm(schema) : { logicalType }
}

function decimalForm({ precision, scale = 0, size }: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  if (!isWithin(precision, 1, PRECISION_MAX) || !isWithin(scale, 0, precision)) return {}
  if (typeof size === 'number' && 10n ** BigInt(precision) > 2n ** BigInt(Math.max(1, size * 8 - 1))) return {}
  return { logicalType: 'decimal', precision, scale }
}

function isWithin(value: unknown, min: number, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
}

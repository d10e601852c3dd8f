import { type AvroRecord, type AvroType, isJsonObject } from './avro.ts'
import { compileRules } from './field-rules.ts'
import { conversionOf, type Meaning, type Wire } from './logical.ts'

/** Avro writes a union's default in the form of its first branch. */
export function defaultProblem(type: AvroType, value: unknown): string | undefined {
  const first = type.kind === 'union' ? type.branches[0] : type
  if (first === undefined) return undefined
  if (fitsDefault(first, value)) {
    const broken = compileRules(first)?.problemOf(valueOfDefault(first, value))
    return broken === undefined ? undefined : `the default ${JSON.stringify(value)} ${broken.problem}. Correct it, or the rule.`
  }
  const which = type.kind === 'union' ? `the first branch of its union, ${first.kind}` : `its type, ${first.kind}`
  return `the default ${JSON.stringify(value)} does not fit ${which}. Correct it${type.kind === 'union' ? ', or put the branch that it fits first' : ''}.`
}

function fitsDefault(type: AvroType, value: unknown): boolean {
  return fitsWire(type, value) && hasMeaning(type, value)
}

/** A default is written as the underlying type, and may say a day, a UUID or a number of digits that there is not. */
function hasMeaning(type: AvroType, value: unknown): boolean {
  const conversion = conversionOf(type)
  if (conversion === undefined) return true
  try {
    conversion.fromWire(wireOfDefault(type, value))
    return true
  } catch {
    return false
  }
}

function fitsWire(type: AvroType, value: unknown): boolean {
  switch (type.kind) {
    case 'null':
      return value === null
    case 'boolean':
      return typeof value === 'boolean'
    case 'int':
      return typeof value === 'number' && value === (value | 0)
    case 'long':
      return typeof value === 'number' && Number.isSafeInteger(value)
    case 'float':
    case 'double':
      return typeof value === 'number'
    case 'string':
      return typeof value === 'string'
    case 'bytes':
      return typeof value === 'string'
    case 'fixed':
      return typeof value === 'string' && value.length === type.size
    case 'enum':
      return typeof value === 'string' && type.symbols.includes(value)
    case 'array':
      return Array.isArray(value) && value.every((item) => fitsDefault(type.items, item))
    case 'map':
      return isJsonObject(value) && Object.values(value).every((item) => fitsDefault(type.values, item))
    case 'record':
      return isJsonObject(value) && type.fields.every((field) => fitsDefault(field.type, value[field.name] ?? field.default))
    case 'union':
      return defaultProblem(type, value) === undefined
  }
}

/** @returns the value that a field left out has: a new one each time, because values may be changed */
export function valueOfDefault(type: AvroType, value: unknown): unknown {
  const conversion = conversionOf(type)
  if (conversion !== undefined) return conversion.fromWire(wireOfDefault(type, value))
  switch (type.kind) {
    case 'bytes':
    case 'fixed':
      return wireOfDefault(type, value)
    case 'array':
      return Array.isArray(value) ? value.map((item) => valueOfDefault(type.items, item)) : []
    case 'map':
      return isJsonObject(value)
        ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, valueOfDefault(type.values, item)]))
        : {}
    case 'record':
      return recordDefault(type, value)
    case 'union':
      return type.branches[0] === undefined ? value : valueOfDefault(type.branches[0], value)
    default:
      return value
  }
}

/** Avro writes bytes in JSON as text whose characters are the bytes. */
export function wireOfDefault({ kind }: Meaning, value: unknown): Wire {
  if (kind === 'bytes' || kind === 'fixed') return Buffer.from(String(value), 'latin1')
  return typeof value === 'number' ? value : String(value)
}

function recordDefault(type: AvroRecord, value: unknown): unknown {
  const given = isJsonObject(value) ? value : {}
  return Object.fromEntries(type.fields.map((field) => [field.name, valueOfDefault(field.type, given[field.name] ?? field.default)]))
}

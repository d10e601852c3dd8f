import { type AvroFixed, type AvroType, type DecimalType, isJsonObject, type LogicalType } from './avro.ts'
import { PRECISION_MAX } from './decimal.ts'
import { hasRules, misspelt, parseRules } from './field-rules.ts'
import type { Meaning } from './logical.ts'

type Attributes = Readonly<Record<string, unknown>>
/** Makes the error for one attribute. */
type Refuse = (attribute: string, problem: string) => Error

const LOGICAL_KINDS: Readonly<Record<LogicalType['name'], readonly AvroType['kind'][]>> = {
  date: ['int'],
  'timestamp-millis': ['long'],
  'timestamp-micros': ['long'],
  uuid: ['string'],
  decimal: ['bytes', 'fixed'],
}

/**
 * Adds to a type what its attributes say about values: logical type, `x-js`, rules.
 *
 * @throws what `refuse` made: the attribute does not fit the type, or would be ignored silently
 */
export function annotate(type: AvroType, attributes: Attributes, refuse: Refuse): AvroType {
  refuseEncryption(attributes, refuse)
  const wrong = misspelt(attributes)
  if (wrong !== undefined) throw refuse(wrong.name, `"${wrong.name}" is not known here (did you mean "${wrong.meant}"?). Correct it.`)
  const typed = withJs(withLogical(type, attributes, refuse), attributes, refuse)
  if (!hasRules(attributes)) return typed
  if ('rules' in typed && typed.rules !== undefined)
    throw refuse('', 'rules stand beside the type and beside its field. Write them in one place.')
  const rules = parseRules(attributes, typed, refuse)
  // Rules are refused on every other kind of type.
  return isNullary(typed) || typed.kind === 'array' || typed.kind === 'map' ? { ...typed, rules } : typed
}

/** The attributes beside a field say something about its value, or about the branch that is not null. */
export function annotateField(type: AvroType, attributes: Attributes, refuse: Refuse): AvroType {
  if (attributes['logicalType'] !== undefined)
    throw refuse('logicalType', 'beside a field Avro ignores it. Move it into the type: "type": {"type": "long", "logicalType": "…"}.')
  if (type.kind !== 'union') return annotate(type, attributes, refuse)
  const values = type.branches.filter((branch) => branch.kind !== 'null')
  const [value] = values
  if (value === undefined || values.length > 1) {
    annotate({ kind: 'null' }, attributes, refuse)
    return type
  }
  const annotated = annotate(value, attributes, refuse)
  return annotated === value ? type : { kind: 'union', branches: type.branches.map((branch) => (branch === value ? annotated : branch)) }
}

/** The decimal that a fixed stands for. */
export function fixedDecimal(attributes: Attributes, size: number, refuse: Refuse): Pick<AvroFixed, 'logical'> {
  if (attributes['logicalType'] === undefined) return {}
  const logical = logicalOf('fixed', attributes, refuse)
  if (logical.name !== 'decimal') return {}
  if (10n ** BigInt(logical.precision) > 2n ** BigInt(size * 8 - 1))
    throw refuse('precision', `${logical.precision} digits do not fit into ${size} bytes. Make "size" larger, or "precision" smaller.`)
  return { logical }
}

/** `confluent:tags` of a field. */
export function tagsOf(attributes: Attributes, refuse: Refuse): readonly string[] {
  const tags = attributes['confluent:tags'] ?? []
  if (Array.isArray(tags) && tags.every((tag) => typeof tag === 'string' && tag !== '')) return tags
  throw refuse('confluent:tags', 'this is a list of texts: ["PII"].')
}

/**
 * What a type means that stands in a schema as JSON. Attributes that do not fit are ignored, as Avro asks of its readers:
 * our own files were checked when they were read, and those of others are theirs.
 */
export function meaningOf(type: Meaning, attributes: Attributes): Meaning {
  const ignore = (_attribute: string, problem: string): Error => new Error(problem)
  try {
    if (type.size !== undefined) return { ...type, ...fixedDecimal(attributes, type.size, ignore) }
    const name = attributes['logicalType']
    const logical = name === undefined ? {} : { logical: logicalOf(type.kind, attributes, ignore) }
    return { ...type, ...logical, ...jsOf({ ...type, ...logical }, attributes, ignore) }
  } catch {
    return type
  }
}

function withLogical(type: AvroType, attributes: Attributes, refuse: Refuse): AvroType {
  // A fixed has its logical type from where it is defined.
  if (attributes['logicalType'] === undefined || type.kind === 'fixed') return type
  const logical = logicalOf(type.kind, attributes, refuse)
  return isNullary(type) ? { kind: type.kind, logical } : type
}

function logicalOf(kind: AvroType['kind'], attributes: Attributes, refuse: Refuse): LogicalType {
  const names = Object.keys(LOGICAL_KINDS)
  const name = (['date', 'timestamp-millis', 'timestamp-micros', 'uuid', 'decimal'] as const).find(
    (each) => each === attributes['logicalType'],
  )
  if (name === undefined)
    throw refuse(
      'logicalType',
      `${JSON.stringify(attributes['logicalType'])} is none of ${names.join(', ')}. Use one of them, or remove it and say in "doc" what the value means.`,
    )
  const kinds = LOGICAL_KINDS[name]
  if (!kinds.includes(kind)) throw refuse('logicalType', `"${name}" is for ${kinds.join(' and ')}, this is ${kind}. Correct the type.`)
  return name === 'decimal' ? decimalOf(attributes, refuse) : { name }
}

function decimalOf({ precision, scale = 0 }: Attributes, refuse: Refuse): DecimalType {
  if (typeof precision !== 'number' || !Number.isInteger(precision) || precision < 1 || precision > PRECISION_MAX)
    throw refuse('precision', `a decimal needs "precision", the number of its digits: 1 to ${PRECISION_MAX}.`)
  if (typeof scale !== 'number' || !Number.isInteger(scale) || scale < 0 || scale > precision)
    throw refuse('scale', `"scale" is the number of digits after the point: 0 to ${precision}, the precision.`)
  return { name: 'decimal', precision, scale }
}

function withJs(type: AvroType, attributes: Attributes, refuse: Refuse): AvroType {
  const js = jsOf(type, attributes, refuse)
  return js.js === undefined || !isNullary(type) ? type : { ...type, ...js }
}

function jsOf(type: Meaning, attributes: Attributes, refuse: Refuse): { readonly js?: 'bigint' } {
  const js = attributes['x-js']
  if (js === undefined) return {}
  if (js !== 'bigint') throw refuse('x-js', `"bigint" is all it may say, not ${JSON.stringify(js)}.`)
  if (type.kind !== 'long' || type.logical !== undefined)
    throw refuse('x-js', 'only a long without a logical type can be a bigint. Remove it.')
  return { js }
}

function refuseEncryption(attributes: Attributes, refuse: Refuse): void {
  const encrypt = attributes['x-encrypt']
  if (encrypt === undefined) return
  const subject = isJsonObject(encrypt) ? encrypt['subject'] : undefined
  if (typeof subject !== 'string' || !/^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/.test(subject))
    throw refuse('x-encrypt', 'this is {"subject": "customerId"}, the path of the field that says whose data it is.')
  throw refuse(
    'x-encrypt',
    'encryption is not built yet: the value would travel in clear, although the schema says otherwise. Remove it and keep the value out of the message, or encrypt it before you publish.',
  )
}

type Nullary = Exclude<AvroType, { readonly kind: 'array' | 'map' | 'union' | 'record' | 'enum' | 'fixed' }>

function isNullary(type: AvroType): type is Nullary {
  return !['array', 'map', 'union', 'record', 'enum', 'fixed'].includes(type.kind)
}

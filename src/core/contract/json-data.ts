import { Buffer, isUtf8 } from 'node:buffer'
import { ContractError, messageOf } from '../../foundation/errors.ts'
import { type AvroRecord, type AvroType, isJsonObject } from './avro.ts'
import { decodePayload, encodePayload, VALUE_BYTES_MAX } from './codec.ts'
import { conformToSchema } from './conform.ts'
import { type ContractDefinition, typeOf } from './contract.ts'
import { parseJsonWithin } from './json-depth.ts'
import { parseStandalone } from './schema-parser.ts'

const DEPTH_MAX = 64

/**
 * Reads data that a foreign producer wrote as JSON: checked against the schema of the version that its type names, then
 * read as the contract's own, as Avro data of that version would be. Rules of fields are not asked for, as for Avro data.
 *
 * JSON has no bytes, no times and no numbers beyond 2^53: bytes are base64, a timestamp is a text in RFC 3339 (or
 * milliseconds), a long that is a bigint may be a text of digits, a decimal is a text.
 *
 * @throws ContractError `SCHEMA_UNKNOWN`: a version that this program does not have, another may ·
 *   `CONTRACT_VIOLATED`: names the path · `PAYLOAD_UNREADABLE`, `VALUE_TOO_LARGE`
 */
export function dataFromJson(definition: ContractDefinition, version: number, value: Buffer): unknown {
  const written = writtenIn(definition, version)
  const data = conformToSchema(written.definition, fromJson(written.type, parsed(definition, value)))
  if (version === definition.version) return data
  return decodePayload(definition, encodePayload(written.definition, data))
}

interface Written {
  /** The same contract, making that version. */
  readonly definition: ContractDefinition
  readonly type: AvroType
}

const known = new WeakMap<ContractDefinition, Map<number, Written>>()

function writtenIn(definition: ContractDefinition, version: number): Written {
  const versions = known.get(definition) ?? new Map<number, Written>()
  known.set(definition, versions)
  let written = versions.get(version)
  if (written === undefined) {
    const released = definition.versions.find((each) => each.version === version)
    if (released === undefined) throw unknownVersion(definition, version)
    const type = parseStandalone(released.schema, typeOf(definition.name, version))
    written = { definition: version === definition.version ? definition : { ...definition, version }, type }
    versions.set(version, written)
  }
  return written
}

function parsed(definition: ContractDefinition, value: Buffer): unknown {
  if (value.length > VALUE_BYTES_MAX) {
    const message = `A JSON value of ${definition.name} has ${value.length} bytes, at most ${VALUE_BYTES_MAX} are allowed. Store the content elsewhere and publish a reference to it.`
    throw new ContractError('VALUE_TOO_LARGE', message, { name: definition.name, bytes: value.length })
  }
  if (!isUtf8(value)) throw unreadable(definition, 'it is not UTF-8')
  try {
    return parseJsonWithin(value.toString(), DEPTH_MAX)
  } catch (error) {
    throw unreadable(definition, messageOf(error))
  }
}

/** What JSON says in its own way is turned into what a constructor would be given; all else is left for the check to refuse. */
function fromJson(type: AvroType, json: unknown): unknown {
  switch (type.kind) {
    case 'bytes':
    case 'fixed':
      return type.logical === undefined ? bytesFrom(json) : json
    case 'long':
      if (type.js === 'bigint') return bigintFrom(json)
      return type.logical?.name === 'timestamp-millis' ? dateFrom(json) : json
    case 'array':
      return Array.isArray(json) ? json.map((item) => fromJson(type.items, item)) : json
    case 'map':
      return isJsonObject(json) ? mapped(json, () => type.values) : json
    case 'union':
      return fromUnion(type.branches, json)
    case 'record':
      return isJsonObject(json) ? mapped(json, (name) => fieldType(type, name)) : json
    default:
      return json
  }
}

function fromUnion(branches: readonly AvroType[], json: unknown): unknown {
  if (json === null) return null
  const others = branches.filter((branch) => branch.kind !== 'null')
  const only = others.length === 1 ? others[0] : others.find((branch) => looksLike(branch, json))
  return only === undefined ? json : fromJson(only, json)
}

function looksLike({ kind }: AvroType, json: unknown): boolean {
  if (Array.isArray(json)) return kind === 'array'
  if (typeof json === 'object') return kind === 'map' || kind === 'record'
  // A text is a text, where the union has one.
  if (typeof json === 'string') return kind === 'string' || kind === 'enum'
  return typeof json === 'boolean' ? kind === 'boolean' : ['int', 'long', 'float', 'double'].includes(kind)
}

function mapped(json: Readonly<Record<string, unknown>>, typeOfEntry: (name: string) => AvroType | undefined): Record<string, unknown> {
  // Without a prototype, so that a key `__proto__` is only a key, which the check refuses.
  const result: Record<string, unknown> = Object.create(null)
  for (const name of Object.keys(json)) {
    const type = typeOfEntry(name)
    result[name] = type === undefined ? json[name] : fromJson(type, json[name])
  }
  return result
}

function fieldType(type: AvroRecord, name: string): AvroType | undefined {
  return type.fields.find((field) => field.name === name)?.type
}

function bytesFrom(json: unknown): unknown {
  return typeof json === 'string' && isBase64(json) ? Buffer.from(json, 'base64') : json
}

/** @see https://www.rfc-editor.org/rfc/rfc4648#section-4 */
export function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text)
}

function bigintFrom(json: unknown): unknown {
  if (typeof json === 'string') return /^-?\d{1,19}$/.test(json) ? BigInt(json) : json
  return typeof json === 'number' && Number.isSafeInteger(json) ? BigInt(json) : json
}

function dateFrom(json: unknown): unknown {
  const isTime = typeof json === 'string' ? /^\d{4}-\d\d-\d\d[Tt]/.test(json) : typeof json === 'number' && Number.isInteger(json)
  return isTime ? new Date(json as string | number) : json
}

function unknownVersion(definition: ContractDefinition, version: number): ContractError {
  return new ContractError(
    'SCHEMA_UNKNOWN',
    `A JSON value says that it is a ${typeOf(definition.name, version)}, which is none of the ${definition.versions.length} versions known here. Deploy a build that has its schema file.`,
    { name: definition.name, version },
  )
}

function unreadable(definition: ContractDefinition, reason: string): ContractError {
  const message = `A JSON value of ${definition.name} cannot be read: ${reason}. Its producer must write one JSON value.`
  return new ContractError('PAYLOAD_UNREADABLE', message, { name: definition.name })
}

import { ConfigurationError, ContractError } from '../../foundation/errors.ts'
import type { AvroRecord, AvroSchema } from './avro.ts'
import { type Asked, type Check, compileCheck } from './check.ts'
import { isKeyType } from './look.ts'
import { parseStandalone } from './schema-parser.ts'

interface Versioned {
  readonly version: number
  readonly schema: AvroSchema
}

interface Named {
  readonly name: string
  readonly version: number
}

/** What checking needs of a contract's definition. */
interface Definition extends Named {
  readonly key: string | null
  readonly versions: readonly Versioned[]
}

/** Of data that is made, and of data that is read. */
const madeChecks = new WeakMap<Definition, Check>()
const readChecks = new WeakMap<Definition, Check>()

/**
 * Checks data against the version that the definition makes, rules and key included: what is made must keep them.
 *
 * @returns a copy in the schema's order with defaults filled in
 * @throws ContractError `CONTRACT_VIOLATED`: names the path
 */
export function conform(definition: Definition, data: unknown): unknown {
  return checkIn(madeChecks, definition, 'schema and rules')(data)
}

/**
 * The same against the schema alone, for data that is read: it was made by the rules of its own time, and one that was
 * tightened since must not lose it.
 *
 * @returns a copy in the schema's order with defaults filled in
 * @throws ContractError `CONTRACT_VIOLATED`: names the path
 */
export function conformToSchema(definition: Definition, data: unknown): unknown {
  return checkIn(readChecks, definition, 'schema only')(data)
}

function checkIn(checks: WeakMap<Definition, Check>, definition: Definition, asks: Asked): Check {
  let check = checks.get(definition)
  if (check === undefined) {
    check = checkOf(definition, asks)
    checks.set(definition, check)
  }
  return check
}

/** The version that the definition makes. @throws ConfigurationError `CONTRACT_INVALID`: it has no such version */
export function versionOf<Version extends Versioned>(definition: Named & { readonly versions: readonly Version[] }): Version {
  const version = definition.versions.find((each) => each.version === definition.version)
  if (version === undefined) throw invalid(definition, `it has no schema of version ${definition.version}`)
  return version
}

function checkOf(definition: Definition, asks: Asked): Check {
  const type = `${definition.name}.v${definition.version}`
  const schema = parseStandalone(versionOf(definition).schema, type)
  if (schema.kind !== 'record' || schema.name !== definition.name) throw invalid(definition, 'its schema is not the record of that name')
  const next = nextFile(definition)
  const refuse = (path: string, problem: string, mend: string): ContractError => {
    const subject = path === '' ? 'it' : `"${path}"`
    const message = `${type} is not valid: ${subject} ${problem}. ${mend}, or add ${next}.`
    return new ContractError('CONTRACT_VIOLATED', message, { type, path })
  }
  const check = compileCheck(schema, refuse, asks)
  // The key of a message that is read stands in its record.
  return asks === 'schema only' ? check : withKey(check, schema, definition, type)
}

/** A key is text; an empty one would put unrelated messages into one order. */
function withKey(check: Check, schema: AvroRecord, definition: Definition, type: string): Check {
  const key = definition.key
  if (key === null) return check
  const field = schema.fields.find((each) => each.name === key)
  if (field === undefined || !isKeyType(field.type)) {
    throw invalid(definition, `its key "${key}" is not a field of type string, int or long, and no timestamp-millis`)
  }
  if (field.type.kind !== 'string') return check
  return (value) => {
    const data = check(value)
    if (fieldOf(data, key) !== '') return data
    const message = `${type} is not valid: "${key}" is its key and must not be empty. Send the id that its order belongs to.`
    throw new ContractError('CONTRACT_VIOLATED', message, { type, path: key })
  }
}

/** @returns the field's value; `undefined` when `data` is no object that has it */
export function fieldOf(data: unknown, name: string): unknown {
  return typeof data === 'object' && data !== null && Object.hasOwn(data, name) ? Reflect.get(data, name) : undefined
}

function nextFile(definition: Definition): string {
  const [name = '', domain = ''] = definition.name.split('.').reverse()
  const highest = definition.versions.reduce((max, each) => Math.max(max, each.version), 0)
  return `schemas/${domain}/${name}.v${highest + 1}.avsc`
}

function invalid(definition: Named, problem: string): ConfigurationError {
  return new ConfigurationError(
    'CONTRACT_INVALID',
    `The contract ${definition.name}.v${definition.version} cannot be used: ${problem}. Run "trunkline schema generate" and do not edit what it writes.`,
    { name: definition.name },
  )
}

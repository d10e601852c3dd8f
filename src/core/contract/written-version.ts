import type { AvroSchema } from './avro.ts'
import { isJsonObject } from './avro.ts'
import type { ContractDefinition, ContractVersion } from './contract.ts'
import type { WriterSchema } from './registry.ts'

/** What was found out once for each pair; it goes when the schema or the contract goes. */
const found = new WeakMap<WriterSchema, WeakMap<ContractDefinition, ContractVersion>>()

/**
 * Which version of a contract a registry's schema is.
 *
 * @returns the contract's own version where the schema is one of them; otherwise, for a foreign producer's, a version
 *   that holds that schema and counts as the contract's own: it is read by Avro's rules alone
 */
export function writtenVersion(definition: ContractDefinition, writer: WriterSchema): ContractVersion {
  let versions = found.get(writer)
  if (versions === undefined) {
    versions = new WeakMap()
    found.set(writer, versions)
  }
  let version = versions.get(definition)
  if (version === undefined) {
    version = definition.versions.find((each) => isSame(each, writer)) ?? {
      version: definition.version,
      fingerprint: writer.fingerprint,
      schema: writer.schema,
    }
    versions.set(definition, version)
  }
  return version
}

/** A fingerprint does not see logical types: a decimal of scale 2 and one of scale 4 have the same. */
function isSame(version: ContractVersion, writer: WriterSchema): boolean {
  return version.fingerprint === writer.fingerprint && logicalTypesIn(version.schema).join() === logicalTypesIn(writer.schema).join()
}

/** Each logical type with its place, in the order in which the fields stand. */
function logicalTypesIn(schema: AvroSchema, place = ''): string[] {
  if (typeof schema === 'string') return []
  if (isUnion(schema)) return schema.flatMap((branch, index) => logicalTypesIn(branch, `${place}/${index}`))
  const { logicalType, precision, scale, type, items, values, fields } = schema
  const own = logicalType === undefined ? [] : [`${place}:${JSON.stringify([logicalType, precision ?? null, scale ?? 0])}`]
  const parts = Object.entries({ type, items, values })
  const inner = parts.flatMap(([name, part]) => (isSchema(part) ? logicalTypesIn(part, name === 'type' ? place : `${place}/${name}`) : []))
  const list: readonly unknown[] = Array.isArray(fields) ? fields : []
  return [...own, ...inner, ...list.flatMap((field, index) => (isJsonObject(field) ? logicalTypesIn(field, `${place}/${index}`) : []))]
}

function isUnion(schema: AvroSchema): schema is readonly AvroSchema[] {
  return Array.isArray(schema)
}

function isSchema(value: unknown): value is AvroSchema {
  return typeof value === 'string' || Array.isArray(value) || isJsonObject(value)
}

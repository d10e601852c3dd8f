import { ContractError } from '../../foundation/errors.ts'
import type { HeaderPair } from '../broker/log-producer.ts'

/** `C3 01`, then the CRC-64-AVRO fingerprint, low byte first. */
export const SINGLE_OBJECT_BYTES = 10
/** `00`, then the id that a schema registry gave, high byte first. */
export const REGISTRY_BYTES = 5
/** An id is an int32. */
export const SCHEMA_ID_MAX = 2 ** 31 - 1
/** Where a producer puts a GUID instead of an id before the value; the value is then bare Avro, and looks like anything. */
const SCHEMA_ID_HEADER = '__value_schema_id'

/**
 * Which framing a value says it has, by its first bytes:
 * Avro's single-object encoding, a schema registry's with an id or a GUID, or none that is known.
 *
 * @see https://avro.apache.org/docs/1.12.0/specification/#single-object-encoding
 */
export type Framing = 'single-object' | 'registry' | 'registry-guid' | 'unknown'

export function framingOf(value: Buffer): Framing {
  if (value[0] === 0xc3 && value[1] === 0x01) return value.length >= SINGLE_OBJECT_BYTES ? 'single-object' : 'unknown'
  if (value[0] === 0x00) return value.length >= REGISTRY_BYTES ? 'registry' : 'unknown'
  if (value[0] === 0x01) return value.length >= 17 ? 'registry-guid' : 'unknown'
  return 'unknown'
}

/** What stands before the payload of every message written with that schema. */
export function singleObjectPrefix(fingerprint: string): Buffer {
  const prefix = Buffer.alloc(SINGLE_OBJECT_BYTES)
  prefix[0] = 0xc3
  prefix[1] = 0x01
  prefix.writeBigUInt64LE(BigInt(`0x${fingerprint}`), 2)
  return prefix
}

/** The fingerprint that a single-object value names. */
export function fingerprintIn(value: Buffer): string {
  return value.readBigUInt64LE(2).toString(16).padStart(16, '0')
}

/** What stands before every value that was written with a registry's schema. */
export function registryPrefix(schemaId: number): Buffer {
  const prefix = Buffer.alloc(REGISTRY_BYTES)
  prefix.writeInt32BE(schemaId, 1)
  return prefix
}

/** @returns the schema id that a value in registry framing names; `undefined` for every other value */
export function schemaIdIn(value: Buffer | null): number | undefined {
  return value !== null && value[0] === 0x00 && value.length >= REGISTRY_BYTES ? value.readInt32BE(1) : undefined
}

/**
 * Refuses a value whose schema is named by a header. It has to be told by the header: bare Avro may begin like any framing.
 *
 * @throws ContractError `FRAMING_UNKNOWN`
 */
export function refuseSchemaHeader(headers: readonly HeaderPair[]): void {
  for (const [name] of headers) {
    if (name !== SCHEMA_ID_HEADER) continue
    throw new ContractError(
      'FRAMING_UNKNOWN',
      `A value cannot be read: its schema is named by the header "${SCHEMA_ID_HEADER}", which is not supported. Let its producer put the schema id before the value (Confluent: PrefixSchemaIdSerializer).`,
      { framing: 'registry-header' },
    )
  }
}

/** The error for a value whose framing is not read here: it names what was seen. */
export function foreignFraming(value: Buffer, type: string): ContractError {
  return new ContractError('FRAMING_UNKNOWN', `A value of ${type} cannot be read: ${seen(value)}`, {
    type,
    framing: framingOf(value),
    bytes: value.length,
  })
}

function seen(value: Buffer): string {
  switch (framingOf(value)) {
    case 'registry':
      return `it has registry framing (00 and schema id ${value.readInt32BE(1)}), and no schema registry is configured. Set "registry" in createBackbone (REGISTRY_URL), or let its producer write Avro single-object encoding (C3 01).`
    case 'registry-guid':
      return `it has registry framing (01 and GUID ${value.toString('hex', 1, 17)}), which is not supported. Let its producer write the schema id (00) or Avro single-object encoding (C3 01).`
    default:
      return `its ${value.length} bytes start with ${start(value)}, which is no framing known here${likely(value)}. Find its producer; it must write Avro single-object encoding (C3 01).`
  }
}

function start(value: Buffer): string {
  return value.length === 0 ? 'nothing' : (value.toString('hex', 0, 10).match(/../g) ?? []).join(' ')
}

function likely(value: Buffer): string {
  return value[0] === 0x7b || value[0] === 0x5b ? ' (it looks like JSON)' : ''
}

import { ContractError } from '../../foundation/errors.ts'

/** `C3 01`, then the CRC-64-AVRO fingerprint, low byte first. */
export const SINGLE_OBJECT_BYTES = 10

/**
 * Which framing a value says it has, by its first bytes:
 * Avro's single-object encoding, a schema registry's with an id or a GUID, or none that is known.
 *
 * @see https://avro.apache.org/docs/1.12.0/specification/#single-object-encoding
 */
export type Framing = 'single-object' | 'registry' | 'registry-guid' | 'unknown'

export function framingOf(value: Buffer): Framing {
  if (value[0] === 0xc3 && value[1] === 0x01) return value.length >= SINGLE_OBJECT_BYTES ? 'single-object' : 'unknown'
  if (value[0] === 0x00) return value.length >= 5 ? 'registry' : 'unknown'
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

/** The error for a value that is not in single-object framing: it names what was seen. */
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
      return `it has registry framing (00 and schema id ${value.readInt32BE(1)}), and no schema registry is configured. Let its producer write Avro single-object encoding (C3 01).`
    case 'registry-guid':
      return `it has registry framing (01 and GUID ${value.toString('hex', 1, 17)}), which is not supported. Let its producer write Avro single-object encoding (C3 01).`
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

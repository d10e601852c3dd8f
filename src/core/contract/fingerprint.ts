const EMPTY = 0xc15d213aa4d7a795n
let table: readonly bigint[] | undefined

/**
 * CRC-64-AVRO (Rabin) of a schema's canonical form: 16 hexadecimal digits, most significant first.
 *
 * @see https://avro.apache.org/docs/1.12.0/specification/#schema-fingerprints
 */
export function crc64Avro(text: string): string {
  table ??= Array.from({ length: 256 }, (_, index) => shifted(BigInt(index)))
  let fingerprint = EMPTY
  for (const byte of Buffer.from(text)) {
    fingerprint = (fingerprint >> 8n) ^ (table[Number((fingerprint ^ BigInt(byte)) & 0xffn)] ?? 0n)
  }
  return fingerprint.toString(16).padStart(16, '0')
}

function shifted(byte: bigint): bigint {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = (value >> 1n) ^ (value & 1n ? EMPTY : 0n)
  return value
}

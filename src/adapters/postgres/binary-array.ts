const HEADER_BYTES = 20
const LENGTH_BYTES = 4

/**
 * An array of values of one size as PostgreSQL takes it in the binary format: one piece of memory, where a text needs
 * several objects for each value.
 *
 * @param oid of the type of its values
 * @param write puts a value there
 */
export function binaryArray<Value>(
  { oid, bytes }: { readonly oid: number; readonly bytes: number },
  values: readonly Value[],
  write: (value: Value, target: Buffer, at: number) => void,
): Buffer {
  const target = Buffer.allocUnsafe(HEADER_BYTES + values.length * (LENGTH_BYTES + bytes))
  let at = target.writeInt32BE(1, 0) // dimensions
  at = target.writeInt32BE(0, at) // no nulls
  at = target.writeInt32BE(oid, at)
  at = target.writeInt32BE(values.length, at)
  at = target.writeInt32BE(1, at) // the first index
  for (const value of values) {
    at = target.writeInt32BE(bytes, at)
    write(value, target, at)
    at += bytes
  }
  return target
}

/** The fixed numbers of types of PostgreSQL's own. */
export const INT8 = { oid: 20, bytes: 8 } as const
export const UUID = { oid: 2950, bytes: 16 } as const

import type { DecimalType } from './avro.ts'

/** More digits than any money needs; Avro sets no limit, and a message could make us compute for minutes. */
export const PRECISION_MAX = 1000

const DECIMAL = /^(-?)(\d+)(?:\.(\d+))?$/

/**
 * A decimal text as the whole number that Avro writes: `12.5` with scale 2 is `1250n`. Never through a float.
 *
 * @returns `undefined` when it is no decimal, or has more digits than the type allows on either side of the point
 */
export function unscaledOf(text: string, { precision, scale }: DecimalType): bigint | undefined {
  if (text.length > PRECISION_MAX + 2) return undefined
  const [, sign, whole, fraction = ''] = DECIMAL.exec(text) ?? []
  if (whole === undefined || fraction.length > scale) return undefined
  const digits = (whole + fraction.padEnd(scale, '0')).replace(/^0+/, '')
  if (digits.length > precision) return undefined
  return BigInt(`${digits === '' ? '' : sign}${digits}`)
}

/** The text of a whole number of Avro's, with exactly `scale` digits after the point: `12.50`. */
export function decimalText(unscaled: bigint, scale: number): string {
  const sign = unscaled < 0n ? '-' : ''
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0')
  return scale === 0 ? sign + digits : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

/** Two's complement, highest byte first, in as few bytes as hold it. */
export function decimalBytes(unscaled: bigint): Buffer {
  const magnitude = unscaled < 0n ? -unscaled - 1n : unscaled
  // The highest bit is the sign's.
  const size = Math.floor(magnitude.toString(2).length / 8) + 1
  return sizedDecimalBytes(unscaled, size)
}

/** The same in exactly `size` bytes; the type was checked to fit them. */
export function sizedDecimalBytes(unscaled: bigint, size: number): Buffer {
  return Buffer.from(
    BigInt.asUintN(size * 8, unscaled)
      .toString(16)
      .padStart(size * 2, '0'),
    'hex',
  )
}

/**
 * Reads two's complement of any length.
 *
 * @throws Error it has no bytes, or more digits than the type allows
 */
export function unscaledIn(bytes: Buffer, { precision }: DecimalType): bigint {
  if (bytes.length === 0) throw new Error('a decimal has no bytes')
  const filler = (bytes[0] ?? 0) >= 0x80 ? 0xff : 0
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === filler) start++
  // Looked at before a number is made of it: a megabyte of digits would take seconds.
  if ((bytes.length - start - 1) * 8 > precision * 3.33) throw tooLong(precision)
  const unscaled = BigInt.asIntN((bytes.length - start + 1) * 8, signed(bytes.subarray(start), filler))
  const largest = 10n ** BigInt(precision)
  if (unscaled >= largest || unscaled <= -largest) throw tooLong(precision)
  return unscaled
}

/** With a byte of the sign in front, because the fillers before it were cut off. */
function signed(bytes: Buffer, filler: number): bigint {
  return BigInt(`0x${filler === 0 ? '00' : 'ff'}${bytes.toString('hex')}`)
}

function tooLong(precision: number): Error {
  return new Error(`a decimal has more than ${precision} digits`)
}

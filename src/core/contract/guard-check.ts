import { ConfigurationError, messageOf } from '../../foundation/errors.ts'
import type { AvroSchema } from './avro.ts'

/** What builds and decodes, handed in because it asks for this check itself. */
export interface Guard<Type> {
  build(schema: AvroSchema): Type & { createResolver(writer: Type): object }
  decode(type: Type, bytes: Buffer, start: number, resolver?: object): unknown
}

/** Values that bare avsc believes, each small enough that believing it does no harm. */
const PROBES: readonly (readonly [schema: AvroSchema, hex: string, answer: string])[] = [
  // A count of 1000, and then nothing.
  [{ type: 'array', items: 'string' }, 'd00f', 'announces more'],
  [{ type: 'map', values: 'long' }, 'd00f', 'announces more'],
  ['string', 'd00f', 'announces more'],
  ['bytes', 'd00f', 'announces more'],
  // 2^40 as an int, -2^52 - 1 as a long, NaN.
  ['int', '808080808080808001', 'out of range'],
  ['long', '8180808080808010', 'out of the range'],
  ['double', '000000000000f87f', 'not finite'],
  ['string', '02ff', 'not UTF-8'],
]

/**
 * Tries the guard on the avsc that is installed: another version may have renamed what the guard overrides, and would then
 * run without it.
 *
 * @throws ConfigurationError `AVSC_CHANGED`: the guard does not hold
 */
export function checkGuard<Type>(guard: Guard<Type>): void {
  for (const [schema, hex, answer] of PROBES) {
    const field = { type: 'record', name: 'Probe', fields: [{ name: 'value', type: schema }] }
    expectRefusal(guard, field, field, hex, answer)
    // With a reader that lacks the field, the bytes are skipped instead of read.
    if (answer === 'announces more' && typeof schema !== 'string') expectRefusal(guard, { ...field, fields: [] }, field, hex, answer)
  }
}

function expectRefusal<Type>(guard: Guard<Type>, reader: AvroSchema, writer: AvroSchema, hex: string, answer: string): void {
  const type = guard.build(reader)
  const resolver = reader === writer ? undefined : type.createResolver(guard.build(writer))
  let outcome = 'it was read'
  try {
    guard.decode(type, Buffer.from(hex, 'hex'), 0, resolver)
  } catch (error) {
    outcome = messageOf(error)
    if (outcome.includes(answer)) return
  }
  throw new ConfigurationError(
    'AVSC_CHANGED',
    `The installed avsc is not the one that Trunkline guards against hostile values (5.7.9): of ${hex} it says "${outcome}". Install exactly that version: npm install avsc@5.7.9, and remove overrides of it.`,
    { probe: hex },
  )
}

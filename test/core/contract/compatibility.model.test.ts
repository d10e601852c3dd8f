import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { AvroSchema } from '../../../src/core/contract/avro.ts'
import { incompatibilities } from '../../../src/core/contract/compatibility.ts'
import { avscType } from '../../../src/core/contract/guarded-avro.ts'

/** A schema and a value of it; named types are called after their place, so that those of two schemas meet. */
interface Sample {
  readonly schema: AvroSchema
  readonly value: unknown
}

const leaves: readonly Sample[] = [
  { schema: 'boolean', value: true },
  { schema: 'int', value: -3 },
  { schema: 'long', value: 2 ** 40 },
  { schema: 'float', value: 0.5 },
  { schema: 'double', value: 0.1 },
  { schema: 'string', value: 'tea' },
  { schema: 'bytes', value: Buffer.from('tea') },
]
const defaults: Readonly<Record<string, unknown>> = { boolean: false, int: 0, long: 0, float: 0, double: 0, string: '', bytes: '' }

/** Few types and few names, so that two schemas are often almost the same. */
function sampleAt(path: string, depth: number): fc.Arbitrary<Sample> {
  const leaf = fc.constantFrom(...leaves)
  const symbols = fc.constantFrom(['A'], ['A', 'B'], ['B', 'A', 'C'])
  const enumeration = fc.tuple(symbols, fc.boolean()).map(
    ([list, withDefault]): Sample => ({
      schema: { type: 'enum', name: `E${path}`, symbols: list, ...(withDefault ? { default: 'A' } : {}) },
      value: list.at(-1),
    }),
  )
  const fixed = fc
    .constantFrom(2, 3)
    .map((size): Sample => ({ schema: { type: 'fixed', name: `F${path}`, size }, value: Buffer.alloc(size) }))
  if (depth === 0) return fc.oneof({ weight: 4, arbitrary: leaf }, enumeration, fixed)
  const inner = sampleAt(`${path}i`, depth - 1)
  const nested = fc.oneof(
    inner.map(({ schema, value }): Sample => ({ schema: { type: 'array', items: schema }, value: [value] })),
    inner.map(({ schema, value }): Sample => ({ schema: { type: 'map', values: schema }, value: { key: value } })),
    inner.filter(({ schema }) => !Array.isArray(schema)).map(({ schema, value }): Sample => ({ schema: ['null', schema], value })),
  )
  return fc.oneof({ weight: 4, arbitrary: leaf }, enumeration, fixed, nested, recordAt(`${path}r`, depth - 1))
}

function recordAt(path: string, depth: number): fc.Arbitrary<Sample> {
  const field = (name: string) => fc.option(fc.tuple(sampleAt(path + name, depth), fc.boolean()), { nil: undefined, freq: 3 })
  // Never empty: items that take no bytes are refused when a schema is loaded.
  const id = fc.constant([{ schema: 'string', value: 'x' }, false] as const)
  return fc.record({ id, a: field('a'), b: field('b') }).map((fields) => {
    const given = Object.entries(fields).flatMap(([name, made]) =>
      made === undefined ? [] : [{ name, sample: made[0], withDefault: made[1] }],
    )
    return {
      schema: {
        type: 'record',
        name: `R${path}`,
        fields: given.map(({ name, sample: { schema }, withDefault }) => ({
          name,
          type: schema,
          ...(withDefault && typeof schema === 'string' ? { default: defaults[schema] } : {}),
        })),
      },
      value: Object.fromEntries(given.map(({ name, sample }) => [name, sample.value])),
    }
  })
}

test('what it calls compatible is what the decoder can resolve, and then reads', () => {
  const verdicts = { compatible: 0, incompatible: 0 }

  fc.assert(
    fc.property(recordAt('', 2), recordAt('', 2), (reader, writer) => {
      const found = incompatibilities(reader.schema, writer.schema)
      verdicts[found.length === 0 ? 'compatible' : 'incompatible']++

      expect(reads(reader.schema, writer)).toBe(found.length === 0)
    }),
    { numRuns: 2_000 },
  )

  // Both answers were asked for often enough to mean something.
  expect(verdicts.compatible).toBeGreaterThan(200)
  expect(verdicts.incompatible).toBeGreaterThan(200)
})

/** Whether the decoder can resolve the two; what it then makes of the value must fit the reader. */
function reads(reader: AvroSchema, writer: Sample): boolean {
  const [from, to] = [avscType(writer.schema), avscType(reader)]
  let resolver: ReturnType<typeof to.createResolver>
  try {
    resolver = to.createResolver(from)
  } catch {
    return false
  }
  if (to.isValid(to.fromBuffer(from.toBuffer(writer.value), resolver))) return true
  throw new Error('It was resolved, and read as something that does not fit.')
}

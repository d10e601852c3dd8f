import { expect, test } from 'vitest'
import type { AvroSchema } from '../../../src/core/contract/avro.ts'
import { canonicalForm, fingerprintOf } from '../../../src/core/contract/codec.ts'

/**
 * Facts of Apache Avro: input, canonical form, CRC-64-AVRO as a signed number.
 * @see https://github.com/apache/avro/blob/main/share/test/data/schema-tests.txt
 */
const vectors: readonly (readonly [AvroSchema, string, bigint])[] = [
  ['null', '"null"', 7195948357588979594n],
  [{ type: 'boolean' }, '"boolean"', -6970731678124411036n],
  ['int', '"int"', 8247732601305521295n],
  ['long', '"long"', -3434872931120570953n],
  ['float', '"float"', 5583340709985441680n],
  ['double', '"double"', -8181574048448539266n],
  ['bytes', '"bytes"', 5746618253357095269n],
  ['string', '"string"', -8142146995180207161n],
  [['int', { type: 'boolean' }], '["int","boolean"]', 5392556393470105090n],
  [{ fields: [], type: 'record', name: 'foo', namespace: 'x.y' }, '{"name":"x.y.foo","type":"record","fields":[]}', 5916914534497305771n],
  [
    { fields: [], type: 'record', name: 'a.b.foo', namespace: 'x.y' },
    '{"name":"a.b.foo","type":"record","fields":[]}',
    -4616218487480524110n,
  ],
  [
    { fields: [], type: 'record', name: 'foo', doc: 'foo', aliases: ['foo', 'bar'] },
    '{"name":"foo","type":"record","fields":[]}',
    -4824392279771201922n,
  ],
  [
    { fields: [{ type: { type: 'boolean' }, name: 'f1' }], type: 'record', name: 'foo' },
    '{"name":"foo","type":"record","fields":[{"name":"f1","type":"boolean"}]}',
    7843277075252814651n,
  ],
  [
    { namespace: 'x.y.z', type: 'enum', name: 'foo', doc: 'foo bar', symbols: ['A1', 'A2'] },
    '{"name":"x.y.z.foo","type":"enum","symbols":["A1","A2"]}',
    -4448647247586288245n,
  ],
  [
    { namespace: 'x.y.z', type: 'fixed', name: 'foo', doc: 'foo bar', size: 32 },
    '{"name":"x.y.z.foo","type":"fixed","size":32}',
    -3064184465700546786n,
  ],
  [{ values: 'string', type: 'map' }, '{"type":"map","values":"string"}', -8732877298790414990n],
]

test.each(vectors)('%j has the canonical form and the fingerprint of Apache Avro', (schema, canonical, fingerprint) => {
  expect(canonicalForm(schema)).toBe(canonical)
  expect(BigInt.asIntN(64, BigInt(`0x${fingerprintOf(schema)}`))).toBe(fingerprint)
})

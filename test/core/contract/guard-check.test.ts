import avsc from 'avsc'
import { expect, test } from 'vitest'
import type { AvroSchema } from '../../../src/core/contract/avro.ts'
import { checkGuard } from '../../../src/core/contract/guard-check.ts'
import { avscType, decodeAvro } from '../../../src/core/contract/guarded-avro.ts'

test('the guard holds on the avsc that is installed', () => {
  expect(() => checkGuard({ build: avscType, decode: decodeAvro })).not.toThrow()
})

test('notices an avsc on which the guard does not hold, as bare avsc is', () => {
  const build = (schema: AvroSchema): avsc.Type => avsc.Type.forSchema(schema as avsc.Schema)
  const decode = (type: avsc.Type, bytes: Buffer, start: number, resolver?: object): unknown =>
    type.decode(bytes, start, resolver as Parameters<avsc.Type['decode']>[2])

  expect(() => checkGuard({ build, decode })).toThrow(
    expect.objectContaining({ code: 'AVSC_CHANGED', message: expect.stringContaining('npm install avsc@5.7.9') }),
  )
})

test('notices that only the way that skips is unguarded', () => {
  const decode = (type: avsc.Type, bytes: Buffer, start: number, resolver?: object): unknown =>
    resolver === undefined ? decodeAvro(type, bytes, start) : 'read'

  expect(() => checkGuard({ build: avscType, decode })).toThrow('says "it was read"')
})

import driver from 'pg'
import { expect, test } from 'vitest'
import { StatementBytes } from '../../../src/adapters/postgres/statement-bytes.ts'

const driverUtils: { prepareValue(value: unknown): string } = Reflect.get(driver, 'utils')

const sparse: unknown[] = ['a']
sparse[2] = 'b'

test.for<[string, readonly unknown[]]>([
  ['ids', ['0198d3f2-0000-7000-8000-000000000001', '0198d3f2-0000-7000-8000-000000000002']],
  ['numbers', [1, -0, 1.5, 1e21, Number.NaN, Number.POSITIVE_INFINITY, 1_764_288_000_000]],
  ['texts and numbers', ['a', 1, '', 'NULL', ' ', 'ü', '𝄞', ',', '{}']],
  ['texts with quotes', ['a', 'say "a"']],
  ['texts with backslashes', ['C:\\', '\\']],
  ['nothing', []],
  ['nulls', ['a', null, undefined]],
  ['a hole', sparse],
  ['lists', [['a', 'b'], ['c']]],
  ['bytes', [Buffer.from([0, 255]), 'a']],
  ['truths', [true, false]],
  ['large numbers', [1n, 2n ** 63n]],
  ['times', [new Date(0)]],
])('a list of %s is written as the driver writes it', ([, list]) => {
  const bytes = new StatementBytes(64)

  bytes.add({ text: 'select $1', values: [list] }, 'nothing')

  const text = Buffer.from(driverUtils.prepareValue(list))
  const length = Buffer.alloc(4)
  length.writeInt32BE(text.length)
  expect(bytes.end().includes(Buffer.concat([length, text]))).toBe(true)
})

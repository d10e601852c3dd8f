import { EventEmitter } from 'node:events'
import { describe, expect, test } from 'vitest'
import { BinaryRow } from '../../../src/adapters/postgres/binary-row.ts'
import { RowTap } from '../../../src/adapters/postgres/row-tap.ts'
import { isTrunklineError } from '../../../src/foundation/errors.ts'

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.write(type, 0)
  head.writeUInt32BE(4 + body.length, 1)
  return Buffer.concat([head, body])
}

function dataRow(...columns: readonly (Buffer | null)[]): Buffer {
  const count = Buffer.alloc(2)
  count.writeInt16BE(columns.length)
  const parts = columns.map((column) => {
    const length = Buffer.alloc(4)
    length.writeInt32BE(column?.length ?? -1)
    return column === null ? length : Buffer.concat([length, column])
  })
  return message('D', Buffer.concat([count, ...parts]))
}

const ready = message('Z', Buffer.from('I'))
const complete = message('C', Buffer.from('SELECT 3\0'))
const texts = ['one', 'two', 'x'.repeat(300)]
const answer = Buffer.concat([message('2', Buffer.alloc(0)), ...texts.map((text) => dataRow(Buffer.from(text))), complete, ready])

describe('a tap', () => {
  function tapped() {
    const passed: Buffer[] = []
    const rows: string[] = []
    const tap = new RowTap((bytes) => passed.push(Buffer.from(bytes)))
    const onRow = (bytes: Buffer, at: number): void => void rows.push(new BinaryRow(bytes, at).text())
    return { tap, rows, onRow, passed: () => Buffer.concat(passed) }
  }

  test('takes rows, and nothing else, however the bytes are cut', () => {
    for (let size = 1; size < answer.length; size++) {
      const { tap, rows, onRow, passed } = tapped()
      tap.rowsTo(onRow)

      for (let at = 0; at < answer.length; at += size) tap.take(answer.subarray(at, at + size))

      expect(rows).toEqual(texts)
      expect(passed()).toEqual(Buffer.concat([message('2', Buffer.alloc(0)), complete, ready]))
    }
  })

  test('that nobody wants rows from passes everything', () => {
    const { tap, rows, passed } = tapped()

    for (let at = 0; at < answer.length; at += 7) tap.take(answer.subarray(at, at + 7))

    expect(rows).toEqual([])
    expect(passed()).toEqual(answer)
  })

  test('passes whole messages only, so that the driver never holds bytes that are used again', () => {
    const ends = new Set<number>()
    let end = 0
    for (const part of [message('2', Buffer.alloc(0)), ...texts.map((text) => dataRow(Buffer.from(text))), complete, ready]) {
      end += part.length
      ends.add(end)
    }
    let seen = 0
    const tap = new RowTap((bytes) => {
      seen += bytes.length
      expect(ends.has(seen)).toBe(true)
    })

    for (let at = 0; at < answer.length; at += 11) tap.take(answer.subarray(at, at + 11))

    expect(seen).toBe(answer.length)
  })

  test('refuses a driver that listens in another way', () => {
    let refused: unknown

    try {
      RowTap.on(new EventEmitter())
    } catch (error) {
      refused = error
    }

    expect(isTrunklineError(refused, 'DRIVER_UNKNOWN')).toBe(true)
  })
})

test('a row in the binary format is read column by column, and its bytes are its own', () => {
  const number = Buffer.alloc(8)
  number.writeBigInt64BE(9_007_199_254_740_993n)
  const small = Buffer.alloc(4)
  small.writeInt32BE(-7)
  const time = Buffer.alloc(8)
  time.writeBigInt64BE(BigInt(Date.UTC(2026, 0, 31, 12, 0, 0, 123) - Date.UTC(2000, 0, 1)) * 1_000n + 999n)
  const id = Buffer.from('0198f000000070008000000000000003', 'hex')
  const bytes = dataRow(number, Buffer.from('größe'), small, time, id, Buffer.from([0, 255]), null, Buffer.alloc(0))

  const row = new BinaryRow(bytes, 5)
  const read = [row.int8(), row.text(), row.int4(), row.timeMs(), row.uuid()]
  const kept = row.bytes(3)
  bytes.fill(1)

  expect(read).toEqual([9_007_199_254_740_993n, 'größe', -7, Date.UTC(2026, 0, 31, 12, 0, 0, 123), '0198f000-0000-7000-8000-000000000003'])
  expect(kept).toEqual([Buffer.from([0, 255]), null, Buffer.alloc(0)])
})

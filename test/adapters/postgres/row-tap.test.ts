import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
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

/** As a socket has it: memory of its own. */
function ownCopy(bytes: Buffer): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(own)
  return own
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

  test.each([
    ['gives back what a socket read when it has been seen', new Socket(), 0],
    ['leaves what another stream gave to it', new EventEmitter(), 40_000],
  ])('%s, and the driver has bytes of its own', (_, socket, left) => {
    const [told, seen]: [Buffer[], string[]] = [[], []]
    socket.on('data', (bytes: Buffer) => told.push(bytes))
    RowTap.on(socket).rowsTo((bytes, at) => seen.push(new BinaryRow(bytes, at).text()))
    const long = Buffer.concat([dataRow(Buffer.from('y'.repeat(100_000))), answer])
    const chunks = [0, 40_000, 80_000].map((at) => ownCopy(long.subarray(at, at === 80_000 ? long.length : at + 40_000)))

    for (const chunk of chunks) socket.emit('data', chunk)

    expect(chunks.slice(0, 2).map(({ length }) => length)).toEqual([left, left])
    expect(seen).toEqual(['y'.repeat(100_000), ...texts])
    expect(Buffer.concat(told)).toEqual(Buffer.concat([message('2', Buffer.alloc(0)), complete, ready]))
  })

  test('tells the driver of a stream that is not PostgreSQL, and reserves no memory for what it announces', () => {
    const socket = new EventEmitter()
    socket.on('data', () => undefined)
    const errors: unknown[] = []
    socket.on('error', (error) => errors.push(error))
    RowTap.on(socket)

    socket.emit('data', Buffer.from('DffffHTTP/1.1 400'))

    expect(errors).toMatchObject([{ message: 'PostgreSQL announced a message of 1717986919 bytes.' }])
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

test('columns in the binary format are read one by one, and are copied as they stand', () => {
  const number = Buffer.alloc(8)
  number.writeBigInt64BE(9_007_199_254_740_993n)
  const [small, low, negative] = [Buffer.alloc(4), Buffer.alloc(8), Buffer.alloc(8)]
  small.writeInt32BE(-7)
  low.writeBigInt64BE(4_294_967_297n)
  negative.writeBigInt64BE(-3n)
  const time = Buffer.alloc(8)
  time.writeBigInt64BE(BigInt(Date.UTC(2026, 0, 31, 12, 0, 0, 123) - Date.UTC(2000, 0, 1)) * 1_000n + 999n)
  const id = Buffer.from('0198f000000070008000000000000003', 'hex')
  const rest = dataRow(Buffer.from([0, 255]), null, Buffer.alloc(0))
  const bytes = dataRow(number, low, negative, Buffer.from('größe'), small, time, id, Buffer.from([0, 255]), null, Buffer.alloc(0))

  const row = new BinaryRow(bytes, 5)
  const read = [row.int8(), row.int8(), row.int8(), row.text(), row.int4(), row.timeMs(), row.uuid()]
  const own = Buffer.alloc(row.lengthOf(3))
  row.copyTo(own, 0, own.length)

  const times = Date.UTC(2026, 0, 31, 12, 0, 0, 123)
  expect(read).toEqual([9_007_199_254_740_993n, 4_294_967_297n, -3n, 'größe', -7, times, '0198f000-0000-7000-8000-000000000003'])
  expect(own).toEqual(rest.subarray(7))
})

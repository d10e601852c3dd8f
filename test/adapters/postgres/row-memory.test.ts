import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BinaryRow } from '../../../src/adapters/postgres/binary-row.ts'
import { RowMemory } from '../../../src/adapters/postgres/row-memory.ts'
import { SlabRow } from '../../../src/adapters/postgres/slab-row.ts'
import { packHeaders } from '../../../src/core/broker/header-bytes.ts'

const SLAB_BYTES = 65_536

describe('the memory of rows', () => {
  test('gives nobody a byte that somebody else has, in whatever order cells are taken and given back', () => {
    const steps = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 40_000 }), gives: fc.nat({ max: 3 }) }), { maxLength: 200 })
    fc.assert(
      fc.property(steps, (all) => {
        const memory = new RowMemory()
        const live: { bytes: number; mark: number; cell: ReturnType<RowMemory['take']> }[] = []
        for (const [step, { bytes, gives }] of all.entries()) {
          const cell = memory.take(bytes)
          const mark = step % 251
          cell.slab.bytes.fill(mark, cell.at, cell.at + bytes)
          live.push({ bytes, mark, cell })
          for (let index = 0; index < gives && live.length > 0; index++) {
            const [given] = live.splice((step * 7) % live.length, 1)
            if (given !== undefined) given.cell.slab.give(given.cell.at)
          }
        }

        for (const { bytes, mark, cell } of live) {
          expect(cell.slab.bytes.subarray(cell.at, cell.at + bytes).equals(Buffer.alloc(bytes, mark))).toBe(true)
        }
      }),
      { numRuns: 50 },
    )
  })

  test('does not grow while as much is given back as is taken, also when one row stays', () => {
    const memory = new RowMemory()
    const stays = memory.take(700)
    const round = (bytes: number): void => {
      const cells = Array.from({ length: 500 }, () => memory.take(bytes))
      for (const { slab, at } of cells) slab.give(at)
    }
    round(700)
    const before = memory.bytes

    for (let index = 0; index < 100; index++) round(700 + index)

    expect(memory.bytes).toBeLessThanOrEqual(before + 2 * SLAB_BYTES)
    stays.slab.give(stays.at)
  })

  test('gives back what nobody needs: large rows at once, and all but two megabytes of empty slabs', () => {
    const memory = new RowMemory()
    const large = memory.take(5_000_000)
    const cells = Array.from({ length: 10_000 }, () => memory.take(1_000))
    const held = memory.bytes

    large.slab.give(large.at)
    for (const { slab, at } of cells) slab.give(at)

    expect(held).toBeGreaterThan(15_000_000)
    expect(memory.bytes).toBeLessThanOrEqual(33 * SLAB_BYTES)
    expect(large.slab.bytes.length).toBe(0)
  })
})

describe('a row in it', () => {
  const headers = [['name', Buffer.from('value')] as const]
  const id = Buffer.from('0198f000000070008000000000000003', 'hex')
  const number = Buffer.alloc(8)
  number.writeBigInt64BE(7n)
  const columns = (key: Buffer | null, value: Buffer | null): (Buffer | null)[] => [
    Buffer.from('orders'),
    number,
    Buffer.alloc(4, 1),
    Buffer.alloc(8),
    id,
    key,
    value,
    packHeaders(headers),
  ]

  function read(memory: RowMemory, key: Buffer | null, value: Buffer | null): SlabRow {
    const parts = columns(key, value).map((column) => {
      const length = Buffer.alloc(4)
      length.writeInt32BE(column?.length ?? -1)
      return Buffer.concat([length, column ?? Buffer.alloc(0)])
    })
    const bytes = Buffer.concat([Buffer.alloc(2), ...parts])
    const columnsOfRow = new BinaryRow(bytes, 0)
    const row = new SlabRow(columnsOfRow.text(), columnsOfRow, memory)
    bytes.fill(1)
    return row
  }

  test('has every byte of what it was read from, which may be used again', () => {
    const row = read(new RowMemory(), null, Buffer.alloc(0))
    const other = read(new RowMemory(), Buffer.from([0, 255]), Buffer.from('v'.repeat(100_000)))
    const target = Buffer.alloc(24)
    row.copyId(target, 0)
    row.copySeq(target, 16)

    expect(row).toMatchObject({ seq: 7n, topic: 'orders', keyHash: 0x01010101, timestampMs: Date.UTC(2000, 0, 1), size: 17 + 64 })
    expect([row.id, row.key, row.value, row.headers]).toEqual(['0198f000-0000-7000-8000-000000000003', null, Buffer.alloc(0), headers])
    expect([other.key, other.value, other.headers]).toEqual([Buffer.from([0, 255]), Buffer.from('v'.repeat(100_000)), headers])
    expect(target).toEqual(Buffer.concat([id, number]))
  })

  test('cannot be read after its release, and is released once', () => {
    const memory = new RowMemory()
    const row = read(memory, Buffer.from('a'), Buffer.from('one'))
    row.release()
    const next = read(memory, Buffer.from('b'), Buffer.from('two'))

    row.release()
    const third = read(memory, Buffer.from('c'), Buffer.from('three'))

    for (const part of ['seq', 'keyHash', 'timestampMs', 'id', 'key', 'value', 'headers', 'memory'] as const)
      expect(() => row[part]).toThrow('A row of topic "orders" was released')
    expect([next.value?.toString(), third.value?.toString()]).toEqual(['two', 'three'])
  })
})

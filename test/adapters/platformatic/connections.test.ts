import type { Connection } from '@platformatic/kafka'
import { expect, test } from 'vitest'
import { Connections } from '../../../src/adapters/platformatic/connections.ts'
import { loadLibrary } from '../../../src/adapters/platformatic/library.ts'

const library = await loadLibrary()
type Buffers = ConstructorParameters<typeof library.Reader>[0]

/** As a socket has it: memory of its own. */
function ownBytes(length: number, fill: string): Buffer {
  return Buffer.allocUnsafeSlow(length).fill(fill)
}

/** A connection that answers with what was read in these pieces, as the client's does: parsed first, then told. */
function answering(pieces: readonly Buffer[]): Connection {
  const { dynamicBuffer } = library.Writer.create()
  for (const piece of pieces) dynamicBuffer.append(piece)
  const send: Connection['send'] = (key, version, _create, parse, _tagged, _replyTagged, callback) => {
    void Promise.resolve(parse(1, key, version, new library.Reader(dynamicBuffer as Buffers))).then((reply) => callback(null, reply))
  }
  return Object.assign(Object.create(null), { send })
}

const connections = new Connections(library, { brokers: ['localhost:1'], clientId: 'test' }, 0)

test('what a reply was read from in pieces is given back when it is whole; what it shares with the next reply stays', async () => {
  const pieces = [ownBytes(65_536, 'a'), ownBytes(65_536, 'b')]
  const shared = ownBytes(65_536, 'c')

  const payload = await connections.exchange(answering([...pieces, shared.subarray(0, 100)]), { key: 0, version: 7 }, Buffer.alloc(0))

  expect(pieces.map(({ length }) => length)).toEqual([0, 0])
  expect(shared.toString('utf8', 0, 3)).toBe('ccc')
  expect(payload.equals(Buffer.concat([Buffer.alloc(65_536, 'a'), Buffer.alloc(65_536, 'b'), Buffer.alloc(100, 'c')]))).toBe(true)
})

test('a reply that came in one piece is that piece, and stays', async () => {
  const payload = await connections.exchange(answering([ownBytes(65_536, 'a')]), { key: 0, version: 7 }, Buffer.alloc(0))

  expect(payload.equals(Buffer.alloc(65_536, 'a'))).toBe(true)
})

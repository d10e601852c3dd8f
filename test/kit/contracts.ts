import { fingerprintOf } from '../../src/core/contract/codec.ts'
import { type Contract, contract, type Outgoing } from '../../src/core/contract/contract.ts'

export interface CountedData {
  readonly key: string
  /** Counts the messages of its key from 1, in the order in which they were committed. */
  readonly version: number
  /** What a test's handler does with it. */
  readonly note: string
}

export type Counted = Contract<{
  kind: 'event'
  name: 'test.Counted'
  input: { readonly key: string; readonly version: number; readonly note?: string }
  data: CountedData
  reply: void
}>

export type CountedName = 'test.Counted' | 'test.Other'

/** An event that says which of its key's messages it is, on a topic of the test's own. */
export function countedOn(topic: string, name: CountedName = 'test.Counted'): Counted {
  const schema = {
    type: 'record',
    name,
    fields: [
      { name: 'key', type: 'string' },
      { name: 'version', type: 'long' },
      { name: 'note', type: 'string', default: '' },
    ],
  } as const
  const versions = [{ version: 1, fingerprint: fingerprintOf(schema), schema }]
  return contract({ kind: 'event', name, version: 1, topic, key: 'key', replies: [], versions })
}

export interface AnsweredData {
  readonly key: string
}
export type Answered = Contract<{ kind: 'reply'; name: 'test.Answered'; input: AnsweredData; data: AnsweredData; reply: void }>
export type Asked = Contract<{
  kind: 'command'
  name: 'test.Asked'
  input: AnsweredData
  data: AnsweredData
  reply: Outgoing<'test.Answered', AnsweredData>
}>

/** A command and its reply, on topics of the test's own. */
export function askedOn(topic: string, replyTopic: string): { readonly Asked: Asked; readonly Answered: Answered } {
  const Answered: Answered = contract({
    kind: 'reply',
    name: 'test.Answered',
    version: 1,
    topic: replyTopic,
    key: 'key',
    replies: [],
    versions: [keyOnly('test.Answered')],
  })
  const Asked: Asked = contract({
    kind: 'command',
    name: 'test.Asked',
    version: 1,
    topic,
    key: 'key',
    replies: ['test.Answered'],
    replyContracts: () => [Answered],
    versions: [keyOnly('test.Asked')],
  })
  return { Asked, Answered }
}

function keyOnly(name: string) {
  const schema = { type: 'record', name, fields: [{ name: 'key', type: 'string' }] } as const
  return { version: 1, fingerprint: fingerprintOf(schema), schema }
}

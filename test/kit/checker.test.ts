import { describe, expect, test } from 'vitest'
import { encodePayload } from '../../src/core/contract/codec.ts'
import { type AppliedEffect, type History, judge, type LoggedMessage, readCounted } from './checker.ts'
import { countedOn } from './contracts.ts'

const committed = [1, 2, 3].map((version) => ({ operation: `op${version}`, key: 'a', version }))

function logged(version: number, offset: number, partition = 0): LoggedMessage {
  return { key: 'a', version, partition, offset: BigInt(offset), id: `id${version}` }
}

function effect(version: number, at: number): AppliedEffect {
  return { key: 'a', version, at: BigInt(at) }
}

const good: History = {
  committed,
  operations: [],
  log: [logged(1, 0), logged(2, 1), logged(3, 2)],
  effects: [effect(1, 0), effect(2, 1), effect(3, 2)],
  kept: [],
}

describe('the judge', () => {
  test('has nothing to say about a run in which every promise held', () => {
    expect(judge(good).violations).toEqual([])
  })

  test('allows a message to be sent again, and counts it', () => {
    const run = { ...good, log: [logged(1, 0), logged(2, 1), logged(1, 2), logged(2, 3), logged(3, 4)] }

    expect(judge(run)).toMatchObject({ violations: [], counts: { sentAgain: 2, logged: 3 } })
  })

  test.for<[string, Partial<History>, string[]]>([
    ['lost in the log', { log: good.log.slice(1) }, ['lost: committed and not in the log: a#1']],
    ['lost effect', { effects: good.effects.slice(1) }, ['lost: committed and neither applied nor kept: a#1']],
    [
      'invented',
      { committed: committed.slice(0, 2) },
      ['invented: in the log and not committed: a#3', 'invented: applied and not committed: a#3'],
    ],
    [
      'applied twice',
      { effects: [...good.effects, effect(2, 9)] },
      ['applied more than once: a#2', 'overtaken among the effects: a#2 came after a#3'],
    ],
    ['overtaken in the log', { log: [logged(2, 0), logged(1, 1), logged(3, 2)] }, ['overtaken in the log: a#1 came after a#2']],
    [
      'overtaken, although it was sent again later',
      { log: [logged(1, 0), logged(3, 1), logged(2, 2), logged(3, 3)] },
      ['overtaken in the log: a#2 came after a#3'],
    ],
    [
      'overtaken among the effects',
      { effects: [effect(2, 0), effect(1, 1), effect(3, 2)] },
      ['overtaken among the effects: a#1 came after a#2'],
    ],
    ['moved to another partition', { log: [logged(1, 0), logged(2, 1), logged(3, 0, 1)] }, ['in more than one partition: key a']],
    ['applied and kept', { kept: [{ key: 'a', version: 2 }] }, ['both applied and kept: a#2']],
    ['told failed', { operations: [{ operation: 'op1', outcome: 'failed' }] }, ['told "failed" and committed: op1']],
    ['told ok', { operations: [{ operation: 'none', outcome: 'ok' }] }, ['told "ok" and not committed: none']],
  ])('sees what is wrong: %s', ([, wrong, violations]) => {
    expect(judge({ ...good, ...wrong }).violations).toEqual(violations)
  })

  test('takes "unknown" for what it is', () => {
    const operations = [
      { operation: 'op1', outcome: 'unknown' },
      { operation: 'none', outcome: 'unknown' },
    ] as const

    expect(judge({ ...good, operations })).toMatchObject({ violations: [], counts: { unknown: 2 } })
  })

  test.for([0, 1, 63, 64, 300, 1_000_000, -5])('reads the number %d as the product wrote it', (version) => {
    const Counted = countedOn('t')

    const value = encodePayload(Counted.definition, Counted({ key: 'schlüssel', version, note: 'x' }).data)

    expect(readCounted(value)).toEqual({ key: 'schlüssel', version })
  })
})

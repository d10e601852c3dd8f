import fc from 'fast-check'
import { expect, test } from 'vitest'
import { assignPartitions, type GroupMember } from '../../../src/core/broker/assignment.ts'
import type { TopicPartition } from '../../../src/core/broker/log-producer.ts'

type Shares = ReadonlyMap<string, readonly TopicPartition[]>

function member(id: string, topics: readonly string[], owned: readonly TopicPartition[] = []): GroupMember {
  return { id, topics, owned }
}

/** The same members after one more assignment. */
function rejoined(members: readonly GroupMember[], shares: Shares): GroupMember[] {
  return members.map((each) => ({ ...each, owned: shares.get(each.id) ?? [] }))
}

function names(partitions: readonly TopicPartition[] | undefined): string[] {
  return (partitions ?? []).map(({ topic, partition }) => `${topic}/${partition}`)
}

function moves(before: Shares, after: Shares): number {
  let moved = 0
  for (const [id, partitions] of after) moved += names(partitions).filter((name) => !names(before.get(id)).includes(name)).length
  return moved
}

const topicNames = ['a', 'b', 'c']
const counts = fc
  .tuple(fc.nat(9), fc.nat(9), fc.nat(9))
  .map((sizes) => new Map(topicNames.map((topic, index) => [topic, sizes[index] ?? 0])))
const groups = fc.uniqueArray(
  fc.record({
    id: fc.stringMatching(/^[a-z]{1,3}$/),
    topics: fc.subarray(topicNames),
    owned: fc.array(fc.record({ topic: fc.constantFrom(...topicNames, 'gone'), partition: fc.integer({ min: -1, max: 12 }) }), {
      maxLength: 8,
    }),
  }),
  { selector: ({ id }) => id, maxLength: 6 },
)

test('gives every partition of a topic that anybody subscribes to, once, and only to a subscriber', () => {
  fc.assert(
    fc.property(groups, counts, (members, sizes) => {
      const shares = assignPartitions(members, sizes)

      const given = [...shares].flatMap(([id, partitions]) => partitions.map((each) => ({ id, ...each })))
      const wanted = topicNames
        .filter((topic) => members.some((each) => each.topics.includes(topic)))
        .flatMap((topic) => Array.from({ length: sizes.get(topic) ?? 0 }, (_, partition) => `${topic}/${partition}`))
      expect(names(given).toSorted()).toEqual(wanted.toSorted())
      for (const { id, topic } of given) expect(members.find((each) => each.id === id)?.topics).toContain(topic)
    }),
  )
})

test('is as even as can be where all subscribe to the same, and nothing moves when nobody comes or goes', () => {
  fc.assert(
    fc.property(groups, counts, (members, sizes) => {
      const alike = members.map((each) => ({ ...each, topics: topicNames }))

      const first = assignPartitions(alike, sizes)
      const second = assignPartitions(rejoined(alike, first), sizes)

      const loads = [...first.values()].map((partitions) => partitions.length)
      expect(Math.max(0, ...loads) - Math.min(...loads, Math.max(0, ...loads))).toBeLessThanOrEqual(1)
      expect(moves(first, second)).toBe(0)
    }),
  )
})

test('does not depend on the order in which members are named', () => {
  const members = [member('one', ['a']), member('two', ['a', 'b']), member('three', ['b'])]
  const sizes = new Map([
    ['a', 5],
    ['b', 3],
  ])

  expect(assignPartitions(members.toReversed(), sizes)).toEqual(assignPartitions(members, sizes))
})

test('moves only what a new member needs, and only what a member that left had', () => {
  const sizes = new Map([['a', 12]])
  const three = ['one', 'two', 'three'].map((id) => member(id, ['a']))
  const before = assignPartitions(three, sizes)

  const withFourth = assignPartitions([...rejoined(three, before), member('four', ['a'])], sizes)
  const withoutFirst = assignPartitions(rejoined(three, before).slice(1), sizes)

  expect(moves(before, withFourth)).toBe(3)
  expect(moves(before, withoutFirst)).toBe(4)
})

test('a rolling restart of four members moves no more than each one had, twice', () => {
  const sizes = new Map([['a', 12]])
  let members = ['1', '2', '3', '4'].map((id) => member(id, ['a']))
  let shares = assignPartitions(members, sizes)
  let moved = 0

  for (const restarted of ['1', '2', '3', '4']) {
    const left = rejoined(members, shares).filter(({ id }) => id !== restarted)
    const without = assignPartitions(left, sizes)
    members = [...rejoined(left, without), member(`${restarted}-new`, ['a'])]
    const back = assignPartitions(members, sizes)
    moved += moves(shares, without) + moves(without, back)
    shares = back
  }

  // Two rebalances each; kafkajs's round robin moves 9 of 12 in each.
  expect(moved).toBe(4 * (3 + 3))
})

test('spreads the partitions of a busy topic when several topics are read', () => {
  const sizes = new Map([
    ['a', 4],
    ['b', 4],
  ])

  const shares = assignPartitions([member('one', ['a', 'b']), member('two', ['a', 'b'])], sizes)

  expect([...shares.values()].map((partitions) => partitions.filter(({ topic }) => topic === 'a').length)).toEqual([2, 2])
})

test('shares out ten thousand partitions among a hundred members within a second', () => {
  const sizes = new Map(Array.from({ length: 100 }, (_, index) => [`topic-${index}`, 100] as const))
  const greedy = member(
    'greedy',
    [...sizes.keys()],
    [...sizes].flatMap(([topic, count]) => Array.from({ length: count }, (_, partition) => ({ topic, partition }))),
  )
  const members = [greedy, ...Array.from({ length: 99 }, (_, index) => member(`m-${index}`, [...sizes.keys()]))]
  const cpu = process.cpuUsage()

  const shares = assignPartitions(members, sizes)

  expect([...shares.values()].map((partitions) => partitions.length)).toEqual(members.map(() => 100))
  expect(process.cpuUsage(cpu).user / 1_000).toBeLessThan(1_000)
})

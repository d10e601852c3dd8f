import { expect, test } from 'vitest'
import { CallPace } from '../../../src/adapters/postgres/call-pace.ts'

function afterCommits(commits: number, answered: boolean): number {
  const pace = new CallPace()
  for (let commit = 0; commit < commits; commit++) pace.committed()
  pace.calling()
  pace.called(1_000, answered)
  return pace.waitMs(1_001)
}

test('the first call waits for nothing', () => {
  expect(new CallPace().waitMs(0)).toBe(0)
})

test('calls are five milliseconds apart, and ten where many commits share each', () => {
  expect(afterCommits(1, true)).toBe(4)
  expect(afterCommits(15, true)).toBe(4)
  expect(afterCommits(16, true)).toBe(9)
})

test('what was committed before a call does not count for the next one', () => {
  const pace = new CallPace()
  for (let commit = 0; commit < 100; commit++) pace.committed()
  pace.calling()
  pace.called(1_000, true)

  pace.committed()
  pace.calling()
  pace.called(2_000, true)

  expect(pace.waitMs(2_000)).toBe(5)
})

test('a server that did not take a call is left alone for a second', () => {
  expect(afterCommits(1, false)).toBe(999)
})

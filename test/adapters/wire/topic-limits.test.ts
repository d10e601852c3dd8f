import { expect, test } from 'vitest'
import { TopicLimits } from '../../../src/adapters/wire/topic-limits.ts'

const target = { topic: 't', partition: 0 }

test('a batch beyond what the topic takes is refused, and the limit is asked for once', async () => {
  const limits = new TopicLimits()
  let asked = 0
  const ask = async (): Promise<number> => {
    asked++
    return 1_000
  }

  const refusals = [await limits.refusal(target, 1_000, ask), await limits.refusal(target, 1_001, ask)]

  expect(refusals).toEqual([undefined, expect.objectContaining({ code: 'APPEND_REFUSED' })])
  expect(asked).toBe(1)
})

// As `Number(null)`, `Number('')` and `Number('none')` make it of a setting that has no value.
test.each([0, -1, Number.NaN])('a limit of %d is none: the broker decides', async (told) => {
  const limits = new TopicLimits()

  expect(await limits.refusal(target, 500, async () => told)).toBeUndefined()
})

test('where the limit cannot be asked for, the broker decides', async () => {
  const limits = new TopicLimits()

  expect(await limits.refusal(target, 500, () => Promise.reject(new Error('not permitted')))).toBeUndefined()
})

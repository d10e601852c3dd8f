import { expect, test } from 'vitest'
import type { ConsumedRecord } from '../src/core/broker/log-consumer.ts'
import type { Routed } from '../src/core/consume/route.ts'
import type { AnyContract, Message } from '../src/core/contract/contract.ts'
import { fuzz } from './fuzz.ts'
import { samples } from './kit/fuzz-messages.ts'
import { anyPolicy } from './kit/policy.ts'

// A million: npm run prove -- fuzz.
test('forty thousand changed messages are read as their schema says or refused, none crashes or stalls', { timeout: 120_000 }, () => {
  const { runs, read, refused, slowestMs } = fuzz({ runs: 40_000, seed: 4 })

  expect(slowestMs).toBeLessThan(50)
  expect(read + Object.values(refused).reduce((sum, count) => sum + count, 0)).toBe(runs)
  // Were nearly all refused by their first bytes, nothing would be shown.
  expect(read).toBeGreaterThan(runs / 10)
  expect(Object.keys(refused)).toEqual(
    expect.arrayContaining(['CONTRACT_VIOLATED', 'ENVELOPE_INVALID', 'ENVELOPE_MISSING', 'FRAMING_UNKNOWN', 'PAYLOAD_UNREADABLE']),
  )
  expect(Object.keys(refused)).toEqual(expect.arrayContaining(['schema needed', 'unknown schema', 'unhandled']))
})

test('the same seed makes the same run', () => {
  const [first, second] = [fuzz({ runs: 2_000, seed: 11 }), fuzz({ runs: 2_000, seed: 11 })]

  expect({ ...first, slowestMs: 0, slowOnce: 0 }).toEqual({ ...second, slowestMs: 0, slowOnce: 0 })
})

function routed(contract: AnyContract, data: unknown): Routed<object> {
  const message = { data } as Message
  const policy = anyPolicy
  return { kind: 'message', inboxId: '', slot: 0, message, subscription: { contract, handler: async () => undefined, policy } }
}

test.each<[string, (record: ConsumedRecord, contract: AnyContract) => Routed<object>, RegExp]>([
  [
    'lets NaN through',
    (_, contract) => routed(contract, { ...(samples[0].data as object), ratio: Number.NaN }),
    /seed 3, run \d+: what was read does not fit its schema/,
  ],
  [
    'fills in what is missing on the way',
    (_, contract) => routed(contract, contract.definition.version === 1 ? samples[0].data : {}),
    /seed 3, run \d+: what was read does not fit its schema \(.*"id" is missing/,
  ],
  [
    'throws',
    () => {
      throw new RangeError('offset is out of bounds')
    },
    /seed 3, run 0: it threw RangeError: offset is out of bounds\. Value [0-9a-f]+, headers /,
  ],
  [
    'stands still for longer than 50 ms',
    (record, contract) => {
      for (const until = performance.now() + 55; performance.now() < until; );
      return routed(contract, record)
    },
    /seed 3, run 0: it takes 5\d ms/,
  ],
  [
    'loses valid messages',
    () => ({ kind: 'unhandled', inboxId: '', slot: 0, name: '', envelope: {} }) as never,
    /a valid message \(binary\) is not read as before/,
  ],
])('a reader that %s is caught, with seed, run and bytes', (_what, read, message) => {
  expect(() => fuzz({ runs: 5_000, seed: 3, read })).toThrow(message)
})

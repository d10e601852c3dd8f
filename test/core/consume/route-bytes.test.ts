import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { HeaderPair } from '../../../src/core/broker/log-producer.ts'
import { routeRecord } from '../../../src/core/consume/route.ts'
import type { Subscription } from '../../../src/core/consume/subscription.ts'
import { encodePayload } from '../../../src/core/contract/codec.ts'
import { countedOn } from '../../kit/contracts.ts'
import { anyPolicy } from '../../kit/policy.ts'

const Counted = countedOn('t')
const place = { topic: 't', partition: 0 }
const subscriptions = new Map<string, Subscription<object>>([
  ['test.Counted', { contract: Counted, handler: async () => undefined, policy: anyPolicy }],
])
const envelope: HeaderPair[] = [
  ['ce_specversion', Buffer.from('1.0')],
  ['ce_id', Buffer.from('1')],
  ['ce_source', Buffer.from('/test')],
  ['ce_type', Buffer.from('test.Counted.v1')],
]
const payload = encodePayload(Counted.definition, Counted({ key: 'a', version: 1 }).data)

function route(value: Buffer | null, headers: readonly HeaderPair[], offset = 0n) {
  const routed = routeRecord({ offset, key: null, value, headers, timestampMs: 0 }, place, { subscriptions })
  if (routed.kind === 'schema needed') throw new Error('there is no registry to ask')
  return routed
}

describe('a record', () => {
  test('with an envelope and a payload that its contract reads is a message', () => {
    expect(route(payload, envelope)).toMatchObject({ kind: 'message', message: { data: { key: 'a', version: 1 } } })
  })

  test.for([
    ['two megabytes of zeros without an envelope', Buffer.alloc(2_000_000), []],
    ['two megabytes of zeros with one', Buffer.alloc(2_000_000), envelope],
    ['two megabytes behind the right first bytes', Buffer.concat([payload.subarray(0, 10), Buffer.alloc(2_000_000, 0x80)]), envelope],
  ] as const)('of %s is unreadable, in an instant', ([, value, headers]) => {
    const begun = performance.now()

    const routed = route(value, headers)

    expect(routed.kind).toBe('unreadable')
    expect(performance.now() - begun).toBeLessThan(250)
  })

  test('without an envelope is known by where it stands, so it is kept once', () => {
    const [first, again, next] = [route(null, [], 7n), route(null, [], 7n), route(null, [], 8n)]

    expect(again.inboxId).toBe(first.inboxId)
    expect(next.inboxId).not.toBe(first.inboxId)
  })

  test('of any bytes has a place to go', () => {
    const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array))
    const header = fc.tuple(fc.oneof(fc.constantFrom('ce_id', 'ce_type', 'ce_time', 'content-type', '__proto__'), fc.string()), bytes)
    const mutated = fc.tuple(fc.nat(payload.length - 1), fc.nat(255)).map(([at, byte]) => {
      const copy = Buffer.from(payload)
      copy[at] = byte
      return copy
    })

    fc.assert(
      fc.property(fc.option(fc.oneof(bytes, mutated)), fc.array(header, { maxLength: 6 }), fc.boolean(), (value, headers, known) => {
        const routed = route(value, known ? [...envelope, ...headers] : headers)
        expect(['message', 'unhandled', 'unknown schema', 'unreadable']).toContain(routed.kind)
        expect(routed.inboxId).toMatch(/^[0-9a-f-]{36}$/)
      }),
      { numRuns: 2_000 },
    )
  })
})

import { expect, test } from 'vitest'
import { z } from 'zod'
import { duration } from '../../src/foundation/duration.ts'
import { ConfigurationError } from '../../src/foundation/errors.ts'
import { nearest, parseOptions } from '../../src/foundation/options.ts'

const schema = z.strictObject({
  batchSize: z.int().min(1).max(10).default(5),
  relay: z.strictObject({ idleDelay: duration({ min: '2ms' }).prefault('100ms') }).prefault({}),
})

test('fills in the defaults', () => {
  expect(parseOptions(schema, {}, 'here')).toEqual({ batchSize: 5, relay: { idleDelay: 100 } })
})

test('an unknown option is refused with the nearest known one', () => {
  expect(() => parseOptions(schema, { batchsize: 3 }, 'createThing')).toThrow(
    /^createThing: unknown option "batchsize" \(did you mean "batchSize"\?\)\.$/,
  )
})

test('an unknown option inside another is found by its whole path', () => {
  expect(() => parseOptions(schema, { relay: { idelDelay: '1s' } }, 'here')).toThrow(
    /unknown option "relay\.idelDelay" \(did you mean "idleDelay"\?\)/,
  )
})

test('a value of the wrong type or size is named with what it was', () => {
  const both = () => parseOptions(schema, { batchSize: 11, relay: { idleDelay: 7 } }, 'here')

  expect(both).toThrow(ConfigurationError)
  expect(both).toThrow(/"batchSize": .*10.*got 11/)
  expect(both).toThrow(/"relay\.idleDelay": expected a duration such as.*got 7/)
})

test('a long text is not repeated in the message, for it may be a secret', () => {
  expect(() => parseOptions(schema, { batchSize: 'x'.repeat(100) }, 'here')).toThrow(/got a text of 100 characters/)
})

test('nothing is suggested when nothing is near', () => {
  expect(nearest('zebra', ['batchSize', 'relay'])).toBeUndefined()
})

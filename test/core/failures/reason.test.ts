import { describe, expect, test } from 'vitest'
import { failureName, fingerprintOf, reasonOf } from '../../../src/core/failures/reason.ts'
import { PermanentError } from '../../../src/foundation/errors.ts'

function thrownAt(line: number, folder = '/app', error: Error = new TypeError('no sku "tea"')): Error {
  error.stack = `TypeError: no sku "tea"
    at node:internal/process/task_queues:95:5
    at Parser.parse (${folder}/node_modules/pg-protocol/dist/parser.js:1:1)
    at async take (file://${folder}/src/stock/service.ts:${line}:11)
    at async handle (${folder}/src/other.ts:1:1)`
  return error
}

test('a log names the class of a failure and its code, and nothing of its text', () => {
  const ofDatabase = Object.assign(new Error('Key (email)=(a@b.c) already exists.'), { name: 'error', code: '23505' })

  expect(failureName(ofDatabase)).toBe('error 23505')
})

describe('the cause of a failure', () => {
  test('names class, place and contract', () => {
    expect(reasonOf(thrownAt(12), 'shop.ReserveStock')).toEqual({
      code: 'HANDLER_FAILED',
      text: 'no sku "tea"',
      cause: 'TypeError in take (stock/service.ts) · shop.ReserveStock',
    })
  })

  test('is the same in another folder, in a build that moved the line, and for another payload', () => {
    const causes = [
      reasonOf(thrownAt(12), 'shop.ReserveStock'),
      reasonOf(thrownAt(480, '/srv/release-9'), 'shop.ReserveStock'),
      reasonOf(thrownAt(1, '/app', new TypeError('no sku "coffee"')), 'shop.ReserveStock'),
    ].map(({ cause }) => fingerprintOf(String(cause)))

    expect(new Set(causes).size).toBe(1)
  })

  test.for([
    ['another contract', reasonOf(thrownAt(12), 'shop.OrderPlaced')],
    ['another class', reasonOf(thrownAt(12, '/app', new RangeError('x')), 'shop.ReserveStock')],
    ["a driver's code", reasonOf(thrownAt(12, '/app', Object.assign(new TypeError('x'), { code: '23505' })), 'shop.ReserveStock')],
  ] as const)('is another one for %s', ([, other]) => {
    expect(other.cause).not.toBe(reasonOf(thrownAt(12), 'shop.ReserveStock').cause)
  })

  test('is the code, where the handler said what is wrong', () => {
    const error = new PermanentError('NO_SUCH_CUSTOMER', 'There is no customer 7.')

    expect(reasonOf(error, 'shop.OrderPlaced')).toMatchObject({
      code: 'NO_SUCH_CUSTOMER',
      cause: expect.stringMatching(/^NO_SUCH_CUSTOMER.* · shop\.OrderPlaced$/),
    })
  })

  test.for([
    ['undefined', undefined],
    ['a text', 'no'],
    [
      'a thing that cannot be looked at',
      new Proxy(new Error('x'), {
        get: () => {
          throw new Error('hands off')
        },
      }),
    ],
    ['an error whose code is a payload', Object.assign(new Error('x'), { code: 'card 4111 1111' })],
    ['an error whose name is a payload', Object.assign(new Error('x'), { name: 'card 4111 1111' })],
  ] as const)('never throws and quotes nothing, whatever was thrown: %s', ([, thrown]) => {
    const { cause, code } = reasonOf(thrown, 'shop.OrderPlaced')

    expect(code).toBe('HANDLER_FAILED')
    expect(cause).toMatch(/ · shop\.OrderPlaced$/)
    expect(cause).not.toContain('4111')
  })

  test('has a fingerprint that never changes', () => {
    expect(fingerprintOf('TypeError in take (stock/service.ts) · shop.ReserveStock')).toBe('056df6b92989')
  })
})

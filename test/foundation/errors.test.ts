import { expect, test } from 'vitest'
import { ContractError, errorName, isTrunklineError, messageOf, PermanentError, TransientError } from '../../src/foundation/errors.ts'

test('an error is known by its reaction and its cause', () => {
  const error = new ContractError('KEY_TOO_LARGE', 'too large', { bytes: 5 })

  expect(error).toBeInstanceOf(PermanentError)
  expect(error.name).toBe('ContractError')
  expect(isTrunklineError(error, 'KEY_TOO_LARGE')).toBe(true)
  expect(isTrunklineError(error, 'OTHER')).toBe(false)
})

test('an error of another copy of the package is recognised', () => {
  const foreign = Object.assign(new Error('from elsewhere'), { trunkline: true, code: 'POSITION_FENCED' })

  expect(isTrunklineError(foreign, 'POSITION_FENCED')).toBe(true)
  expect(isTrunklineError(new Error('plain'))).toBe(false)
  expect(isTrunklineError({ trunkline: true, code: 'X' })).toBe(false)
})

test('the cause is kept', () => {
  const cause = new Error('socket closed')

  expect(new TransientError('LOST', 'lost', {}, cause).cause).toBe(cause)
})

test('whatever was thrown has a text', () => {
  expect(messageOf('plain text')).toBe('plain text')
  expect(messageOf(undefined)).toBe('undefined')
})

const bare: unknown = Object.create(null)
const textless = Object.defineProperties(new Error('x'), { message: { get: fails }, name: { get: fails }, trunkline: { get: fails } })
const revoked = Proxy.revocable({}, {})
revoked.revoke()

function fails(): never {
  throw new Error('a getter that throws')
}

test.for([
  ['something without a prototype', () => bare],
  ['an error whose getters throw', () => textless],
  ['a revoked proxy', () => revoked.proxy],
  ['a symbol', () => Symbol('s')],
] as const)('asking about it never throws: %s', ([, make]) => {
  const thrown = make()

  expect(typeof messageOf(thrown)).toBe('string')
  expect(errorName(thrown)).toMatch(/^(object|symbol|Error)$/)
  expect(isTrunklineError(thrown)).toBe(false)
})

test('the name of an error is a code or a name, never a text', () => {
  expect(errorName(new PermanentError('NO_CUSTOMER', 'no customer Jane'))).toBe('NO_CUSTOMER')
  expect(errorName(new PermanentError('no customer Jane', ''))).toBe('PermanentError')
  expect(errorName(new TypeError('x'))).toBe('TypeError')
  expect(errorName(Object.assign(new Error('x'), { name: 'no customer Jane' }))).toBe('Error')
  expect(errorName('no customer Jane')).toBe('string')
})

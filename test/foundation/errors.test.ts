import { expect, test } from 'vitest'
import { ContractError, isTrunklineError, messageOf, PermanentError, TransientError } from '../../src/foundation/errors.ts'

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

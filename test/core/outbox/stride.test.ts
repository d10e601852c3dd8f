import { expect, test } from 'vitest'
import { Stride } from '../../../src/core/outbox/stride.ts'

test('an empty stretch is walked in longer and longer steps, while they are quick', () => {
  const stride = new Stride(1_000)
  const usual = stride.length

  stride.took(10, 0)
  stride.took(10, 0)
  expect(stride.length).toBe(usual * 4n)

  stride.took(900, 0)
  expect(stride.length).toBe(usual * 4n)
})

test('where rows are, steps are of the usual length again', () => {
  const stride = new Stride(1_000, 'longest')
  const usual = new Stride(1_000).length

  stride.took(10, 1)

  expect(stride.length).toBe(usual)
})

test('a step that was given up though it had less to look through than it might is followed by an eighth of that', () => {
  const stride = new Stride(100, 'longest')

  stride.tooLong(40_000_000n)

  expect(stride.length).toBe(5_000_000n)
})

test('a step that was given up is followed by shorter ones, which grow again as soon as they are quick', () => {
  const stride = new Stride(1_000)
  const usual = stride.length

  stride.tooLong()
  const narrow = stride.length
  for (let times = 0; times < 10; times++) stride.tooLong()
  const narrowest = stride.length
  for (let times = 0; times < 10; times++) stride.took(10, 1)

  expect(narrow).toBeLessThan(usual)
  expect(narrowest).toBe(1_000n)
  expect(stride.length).toBe(usual)
})

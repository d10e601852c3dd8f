import { v5, version } from 'uuid'
import { expect, test, vi } from 'vitest'
import { inboxId, NAMESPACE, nameId, newMessageId } from '../../src/foundation/ids.ts'

test('later ids of a process sort after earlier ones', () => {
  const ids = Array.from({ length: 20_000 }, newMessageId)

  expect(ids).toEqual([...ids].sort())
  expect(new Set(ids).size).toBe(ids.length)
})

test('ids rise also while the clock goes back, and say the time that it had', () => {
  const at = Date.now() + 60_000
  const clock = vi.spyOn(Date, 'now').mockReturnValue(at)
  const before = newMessageId()

  clock.mockReturnValue(at - 30_000)
  const behind = Array.from({ length: 1_000 }, newMessageId)
  clock.mockRestore()

  expect([before, ...behind]).toEqual([before, ...behind].sort())
  for (const id of [before, ...behind]) {
    expect(version(id)).toBe(7)
    expect(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)).toBe(at)
  }
})

test('no two ids end in the same random bits', () => {
  const ends = Array.from({ length: 1_000 }, () => newMessageId().slice(-10))

  expect(new Set(ends).size).toBe(ends.length)
})

test('inbox ids stay what they are: consumers remember messages by them', () => {
  expect(inboxId('/orders', '0198d3f2-0000-7000-8000-000000000001')).toBe('f30c1be1-e10d-5b3c-b563-571f2dffe50c')
  expect(inboxId('/stock', '0198d3f2-0000-7000-8000-000000000001')).toBe('0245132c-9413-5eba-9cab-329a7f422e4f')
  expect(nameId('order-fulfilment/o-1')).toBe('e2f5e322-dee1-5df4-b3b8-751a709d38ee')
})

test.for(['', 'x', 'größer', '𝄞'.repeat(100), 'long'.repeat(1_000)])('a name has the id that the library gives it: %s', (name) => {
  expect(nameId(name)).toBe(v5(name, NAMESPACE))
  expect(inboxId(name, name)).toBe(v5(name, v5(name, NAMESPACE)))
})

test.for([
  ['half a character', '\ud834', undefined],
  ['a namespace that is none', 'x', 'not-a-uuid'],
] as const)('%s is refused', ([, name, namespace]) => {
  expect(() => nameId(name, namespace)).toThrow(TypeError)
})

test('the same id of another source is another message', () => {
  expect(inboxId('/a', 'x')).not.toBe(inboxId('/b', 'x'))
})

import { expect, test } from 'vitest'
import { ConnectionShare } from '../../../src/core/consume/connection-share.ts'

/** Work that ends when the test says so, and notes that it began. */
function works(share: ConnectionShare) {
  const began: string[] = []
  const ends: (() => void)[] = []
  const use = (owner: string, name: string): Promise<void> =>
    share.use(owner, async () => {
      began.push(name)
      await new Promise<void>((resolve) => ends.push(resolve))
    })
  return {
    began,
    use,
    endNext: async () => {
      ends.shift()?.()
      await new Promise(setImmediate)
    },
  }
}

test('no more run at a time than there are connections', async () => {
  const { began, use, endNext } = works(new ConnectionShare(2))

  const all = ['1', '2', '3'].map((name) => use('a', name))
  await endNext()

  expect(began).toEqual(['1', '2', '3'])
  await endNext()
  await endNext()
  await Promise.all(all)
})

test('whoever has one waiting is not starved by whoever has many', async () => {
  const { began, use, endNext } = works(new ConnectionShare(1))
  const all = [use('many', 'm1'), use('many', 'm2'), use('many', 'm3'), use('one', 'o1')]

  for (let turn = 0; turn < 4; turn++) await endNext()
  await Promise.all(all)

  expect(began).toEqual(['m1', 'm2', 'o1', 'm3'])
})

test('a connection whose work failed is passed on', async () => {
  const share = new ConnectionShare(1)

  await expect(share.use('a', async () => Promise.reject(new Error('no')))).rejects.toThrow('no')

  expect(await share.use('a', async () => 'free')).toBe('free')
})

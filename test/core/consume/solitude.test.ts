import { expect, test } from 'vitest'
import { Solitude } from '../../../src/core/consume/solitude.ts'

/** Work that ends when it is told to, and says when it began. */
function job(name: string, begun: string[]) {
  const { promise, resolve } = Promise.withResolvers<void>()
  return {
    end: resolve,
    work: async () => {
      begun.push(name)
      await promise
      begun.push(`${name} ended`)
    },
  }
}

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
}

test('whoever wants to be alone waits for those who run, and those who come later wait for him', async () => {
  const solitude = new Solitude()
  const order: string[] = []
  const [first, second, alone, late] = ['first', 'second', 'alone', 'late'].map((name) => job(name, order))
  if (first === undefined || second === undefined || alone === undefined || late === undefined) throw new Error('There are four.')

  const all = [solitude.together(first.work), solitude.together(second.work), solitude.alone(alone.work), solitude.together(late.work)]
  await turns()
  const sideBySide = [...order]
  first.end()
  second.end()
  await turns()
  const byItself = [...order]
  alone.end()
  late.end()
  await Promise.all(all)

  expect(sideBySide).toEqual(['first', 'second'])
  expect(byItself.slice(2)).toEqual(['first ended', 'second ended', 'alone'])
  expect(order.slice(-3)).toEqual(['alone ended', 'late', 'late ended'])
})

test('two who want to be alone are so one after the other, and a failure lets the next one in', async () => {
  const solitude = new Solitude()
  const order: string[] = []

  const failing = solitude.alone(async () => {
    order.push('one')
    throw new Error('no')
  })
  const next = solitude.alone(async () => void order.push('two'))
  await expect(failing).rejects.toThrow('no')
  await next
  await solitude.together(async () => void order.push('together'))

  expect(order).toEqual(['one', 'two', 'together'])
})

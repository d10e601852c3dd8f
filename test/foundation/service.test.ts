import { expect, test } from 'vitest'
import { endsWithin, Loop, type Service, stopAll } from '../../src/foundation/service.ts'

const untilAborted = (signal: AbortSignal): Promise<void> => new Promise((resolve) => signal.addEventListener('abort', () => resolve()))

test('a loop runs once, however often it is started', async () => {
  let runs = 0
  const loop = new Loop('test', (signal) => {
    runs++
    return untilAborted(signal)
  })

  await Promise.all([loop.start(), loop.start()])
  await Promise.all([loop.stop(), loop.stop()])

  expect(runs).toBe(1)
})

test('a loop that was stopped before it started never runs', async () => {
  let ran = false
  const loop = new Loop('test', async () => {
    ran = true
  })

  await loop.stop()
  await loop.start()

  expect(ran).toBe(false)
})

test('a loop that dies by itself is heard of; one that is stopped is not', async () => {
  const heard: unknown[] = []
  const dying = new Loop('dying', () => Promise.reject(new Error('died')), { onFailure: (error) => heard.push(error) })
  const stopped = new Loop(
    'stopped',
    async (signal) => {
      await untilAborted(signal)
      throw new Error('on the way out')
    },
    { onFailure: (error) => heard.push(error) },
  )

  await dying.start()
  await stopped.start()
  await Promise.all([dying.stop(), stopped.stop()])

  expect(heard).toEqual([new Error('died')])
})

test('one service that cannot be stopped does not keep the others running', async () => {
  const stopped: string[] = []
  const service = (name: string, fails: boolean): Service => ({
    start: async () => undefined,
    stop: async () => {
      if (fails) throw new Error(`${name} hangs`)
      stopped.push(name)
    },
  })

  await expect(stopAll([service('a', true), service('b', false)])).rejects.toThrow('a hangs')

  expect(stopped).toEqual(['b'])
})

test('a wait with a limit says whether the work ended', async () => {
  const never = new Promise<void>(() => undefined)

  expect(await endsWithin(Promise.resolve(), 1_000)).toBe(true)
  expect(await endsWithin(never, 5)).toBe(false)
})

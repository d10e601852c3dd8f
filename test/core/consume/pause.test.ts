import { expect, test } from 'vitest'
import { Pause } from '../../../src/core/consume/pause.ts'

const never = new AbortController().signal

test('nothing of a paused group begins until it is resumed', async () => {
  const pause = new Pause()
  const begun: string[] = []
  pause.set(['a'])

  const held = pause.run('a', never, async () => begun.push('a'))
  await pause.run('b', never, async () => begun.push('b'))
  expect(begun).toEqual(['b'])
  pause.set([])
  await held

  expect(begun).toEqual(['b', 'a'])
})

test('a pause is effective when what had begun has ended', async () => {
  const pause = new Pause()
  const working = Promise.withResolvers<void>()
  const running = pause.run('a', never, () => working.promise)

  pause.set(['a'])
  const whileItRuns = pause.effective
  working.resolve()
  await running

  expect(whileItRuns).toEqual([])
  expect(pause.effective).toEqual(['a'])
})

test('a member that leaves does not wait for the pause to end', async () => {
  const pause = new Pause()
  const leaving = new AbortController()
  pause.set(['a'])
  const waiting = pause.run('a', leaving.signal, async () => 'ran')

  leaving.abort()

  expect(await waiting).toBeUndefined()
})

test('work that fails leaves nothing behind that would keep a pause from taking effect', async () => {
  const pause = new Pause()

  await expect(pause.run('a', never, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  pause.set(['a'])

  expect(pause.effective).toEqual(['a'])
})

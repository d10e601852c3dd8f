import { performance } from 'node:perf_hooks'
import { expect, test } from 'vitest'
import { Wakefulness } from '../../../src/adapters/postgres/wakefulness.ts'

function turnsAhead(): boolean {
  return process.getActiveResourcesInfo().includes('Immediate')
}

/** As one turn of the event loop after the other. */
async function untilAsleep(): Promise<void> {
  while (turnsAhead()) await new Promise((resolve) => setImmediate(resolve))
}

function pass(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until; );
}

test('keeps the event loop turning while an answer is awaited, and no longer', async () => {
  const wakefulness = new Wakefulness()

  wakefulness.sent()
  const waiting = turnsAhead()
  wakefulness.answered()
  await untilAsleep()

  expect(waiting).toBe(true)
})

test('falls asleep when the answer does not come in time', async () => {
  const wakefulness = new Wakefulness()

  wakefulness.sent()
  pass(1)
  await untilAsleep()

  expect(turnsAhead()).toBe(false)
})

test('stays asleep where answers came late again and again, and tries it anew after a while', async () => {
  const wakefulness = new Wakefulness()
  const late = async (): Promise<boolean> => {
    wakefulness.sent()
    const awake = turnsAhead()
    pass(0.4)
    await untilAsleep()
    wakefulness.answered()
    return awake
  }

  const tries: boolean[] = []
  for (let n = 0; n < 11; n++) tries.push(await late())
  for (let n = 0; n < 199; n++) {
    wakefulness.sent()
    wakefulness.answered()
  }
  const anew = await late()

  expect(tries).toEqual([...Array.from({ length: 10 }, () => true), false])
  expect(anew).toBe(true)
})

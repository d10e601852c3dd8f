import { describe, expect, test } from 'vitest'
import type { Service } from '../../src/foundation/service.ts'

export interface ServiceSubject {
  readonly service: Service
  /** Whether it says of itself that it works. */
  readonly running: () => boolean
  /** How many of it run side by side, or did. */
  readonly begun: () => number
  /** Gives it work and resolves when it is in the middle of it. */
  readonly busy: () => Promise<void>
  /** Counts whatever it does. */
  readonly activity: () => number
  /** Long enough for whatever still runs to show itself. */
  readonly lookOn: () => Promise<unknown>
}

/** What every service promises of its two verbs. @param open gives what makes fresh services, all in one test's world */
export function serviceConformance(name: string, open: () => Promise<() => ServiceSubject>): void {
  describe(`${name}, as a service`, () => {
    test('started twice, it runs once', async () => {
      const { service, begun, busy } = (await open())()

      await Promise.all([service.start(), service.start()])
      await service.start()
      await busy()
      await service.stop()

      expect(begun()).toBe(1)
    })

    test('stopped before it was started, it never runs', async () => {
      const subject = (await open())()

      await subject.service.stop()
      await subject.service.start()

      expect(await lookedOn(subject)).toEqual(STOPPED)
      expect(subject.begun()).toBe(0)
    })

    test('stopped twice, it is stopped', async () => {
      const subject = (await open())()
      await subject.service.start()
      await subject.busy()

      await Promise.all([subject.service.stop(), subject.service.stop()])
      await subject.service.stop()

      expect(await lookedOn(subject)).toEqual(STOPPED)
    })

    test('it is not started again once it was stopped', async () => {
      const subject = (await open())()
      await subject.service.start()
      await subject.busy()
      await subject.service.stop()

      await subject.service.start()

      expect(await lookedOn(subject)).toEqual(STOPPED)
    })

    test('stopped in the middle of its work, it lets nothing go on behind the back of whoever stopped it', async () => {
      const make = await open()
      for (let turn = 0; turn < 5; turn++) {
        const subject = make()
        await subject.service.start()
        await subject.busy()

        await subject.service.stop()

        expect(await lookedOn(subject)).toEqual(STOPPED)
      }
    })

    test('whatever the order of the verbs, and none of them waited for, the last stop ends it', async () => {
      const make = await open()
      for (const verbs of everyOrder(4)) {
        const subject = make()

        const called = verbs.map((verb) => subject.service[verb]())
        await subject.service.stop()

        await Promise.all(called)
        expect(await lookedOn(subject)).toEqual(STOPPED)
      }
    })
  })
}

const STOPPED = { running: false, done: 0 }

/** What is still done after this moment. */
async function lookedOn({ running, activity, lookOn }: ServiceSubject): Promise<{ running: boolean; done: number }> {
  const before = activity()
  await lookOn()
  return { running: running(), done: activity() - before }
}

function everyOrder(length: number): ('start' | 'stop')[][] {
  if (length === 0) return [[]]
  return everyOrder(length - 1).flatMap((rest) => [
    ['start', ...rest],
    ['stop', ...rest],
  ])
}

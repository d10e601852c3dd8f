import { expect, test } from 'vitest'
import type { ProcessRow, ProcessStore } from '../../src/core/consume/process-store.ts'

export interface ProcessStoreSubject {
  readonly processes: ProcessStore
  /** What a person does. */
  readonly pause: (group: string) => Promise<void>
  /** Which of the ids count as alive. */
  readonly alive: () => Promise<readonly string[]>
  readonly advance: (ms: number) => Promise<void>
}

const row = (id: string, groups: readonly string[] = ['orders']): ProcessRow => ({
  id,
  service: 'orders',
  host: 'h',
  pid: 1,
  groups,
  paused: [],
  handles: {},
})
const first = '00000000-0000-4000-8000-000000000001'
const second = '00000000-0000-4000-8000-000000000002'

export function processStoreConformance(name: string, open: () => Promise<ProcessStoreSubject>): void {
  test(`${name}: a process is alive from its first beat until its last is too old`, async () => {
    const { processes, alive, advance } = await open()

    await processes.beat(row(first), 10_000)
    await processes.beat(row(second), 30_000)
    const atOnce = await alive()
    await advance(11_000)

    expect(atOnce).toEqual([first, second])
    expect(await alive()).toEqual([second])
    await processes.beat(row(first), 10_000)
    expect(await alive()).toEqual([first, second])
  })

  test(`${name}: a process that has let go is not alive`, async () => {
    const { processes, alive } = await open()
    await processes.beat(row(first), 10_000)

    await processes.end(first)

    expect(await alive()).toEqual([])
  })

  test(`${name}: each beat tells which of the process's own groups a person paused`, async () => {
    const { processes, pause } = await open()
    expect(await processes.beat(row(first, ['orders', 'orders.audit']), 10_000)).toEqual([])

    await pause('orders.audit')
    await pause('somebody.else')

    expect(await processes.beat(row(first, ['orders', 'orders.audit']), 10_000)).toEqual(['orders.audit'])
  })

  test(`${name}: the long dead are forgotten, the others not`, async () => {
    const { processes, alive, advance } = await open()
    await processes.beat(row(first), 10_000)
    await advance(2 * 3_600_000)
    await processes.beat(row(second), 10_000)

    expect(await processes.prune()).toBe(1)
    expect(await alive()).toEqual([second])
  })
}

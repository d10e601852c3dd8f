import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { main } from '../../../src/faces/cli/cli.ts'
import { ConsumeBench } from '../../core/consume/consume-bench.ts'
import { countedOn } from '../../kit/contracts.ts'

const Counted = countedOn('t')

beforeEach(() => {
  for (const name of ['DATABASE_URL', 'KAFKA_BROKERS', 'KAFKA_DRIVER', 'KAFKA_PREFIX']) vi.stubEnv(name, undefined)
})

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  process.exitCode = undefined
})

/** A message that two groups could not apply, and its id as their logs say it. */
async function failedTwice() {
  const bench = await ConsumeBench.open()
  const { backbone, witness } = bench.backbone()
  for (const group of [backbone, backbone.group('judge.audit', { from: 'earliest' })])
    group.subscribe(Counted, () => Promise.reject(new Error('no')), { retry: { inline: 0, delays: [] } })
  await bench.publish('a')
  await backbone.start({ run: ['consume'] })
  const { id } = await witness.saw('delivery.parked', () => true, 2)
  return { bench, id }
}

/** Runs `failure show`. @returns what it printed, as data and as remarks */
async function show(bench: ConsumeBench, ...args: string[]) {
  const log = vi.spyOn(console, 'log').mockReturnValue(undefined)
  const remarks: string[] = []
  const stderr = vi.spyOn(process.stderr, 'write').mockImplementation((line) => {
    remarks.push(String(line))
    return true
  })
  process.exitCode = undefined
  await main(['node', 'trunkline', 'failure', 'show', ...args, '--database-url', bench.url])
  const data = log.mock.calls.map(([line]) => String(line)).join('\n')
  log.mockRestore()
  stderr.mockRestore()
  return { data, remarks: remarks.join(''), exitCode: process.exitCode }
}

test('a message is found by the id that logs name it by, in the group that is meant', async () => {
  const { bench, id } = await failedTwice()

  const shown = await show(bench, id, '--group', 'judge.audit')
  const either = await show(bench, id)
  const none = await show(bench, '01a2229b-41ac-70fa-96c5-6223810a6274')

  expect(shown).toMatchObject({ data: expect.stringMatching(/group +judge\.audit[\s\S]*attempt 1 failed/) })
  expect(shown.data).toContain(`ce_id: ${id}`)
  expect(either).toMatchObject({ remarks: expect.stringContaining('may be'), exitCode: 2 })
  expect(none).toMatchObject({ remarks: expect.stringContaining('No message that is parked or dead or discarded'), exitCode: 2 })
})

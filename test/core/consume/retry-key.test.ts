import { once } from 'node:events'
import { expect, test } from 'vitest'
import type { SubscriptionOptions } from '../../../src/core/consume/registry.ts'
import { TransientError } from '../../../src/foundation/errors.ts'
import type { Assembly } from '../../kit/assembly.ts'
import { countedOn } from '../../kit/contracts.ts'
import { retriesWith } from '../../kit/retries-with.ts'
import { until, Witness } from '../../kit/wait.ts'
import { applyCounted } from '../../kit/workload.ts'
import { ConsumeBench } from './consume-bench.ts'

const Counted = countedOn('t')
const endLeases = "update trunkline.parked_key set lease_until = now() - interval '1 second'"

/** Says that the process is alive, as its heartbeat would. */
async function alive(bench: ConsumeBench, { processId }: Assembly): Promise<void> {
  await bench.query(
    `insert into trunkline.process (id, service, host, pid, groups, paused, expires_at)
     values ($1, 'judge', 'here', 1, '{judge}', '{}', trunkline.now() + interval '1 hour')`,
    [processId],
  )
}

/** Inserts an effect, and hears of each message before. */
function applying(assembly: Assembly, hears: (key: string, version: number) => void, options: SubscriptionOptions = {}): void {
  assembly.subscribe(
    Counted,
    async ({ data }, { tx }) => {
      hears(data.key, data.version)
      await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
    },
    options,
  )
}

test('a message that runs longer than the lease of its key stays with its process: its failure counts, and no crash is charged', async () => {
  const bench = await ConsumeBench.open()
  let looks = 0
  const other = bench.assembly({
    retries: (real) =>
      retriesWith(real, {
        lease: (...asked) => {
          looks++
          return real.lease(...asked)
        },
      }),
  })
  applyCounted(other, { topic: 't' })
  const slow = bench.assembly({
    retries: (real) =>
      retriesWith(real, {
        // Between the rollback and the record of the failure nothing holds the key but its lease.
        fail: async (tx, key, failed) => {
          await bench.query(endLeases)
          const before = looks
          await until('two looks of another process', () => looks > before + 1)
          return await real.fail(tx, key, failed)
        },
      }),
  })
  const witness = new Witness(slow.diagnostics)
  slow.subscribe(Counted, () => Promise.reject(new Error('no')), { retry: { inline: 0, delays: ['1h', '1h'] } })
  await alive(bench, slow)
  await bench.park('a')
  await slow.start({ run: ['consume'] })
  await witness.saw('delivery.started')
  await other.start({ run: ['consume'] })

  await witness.saw('delivery.parked')

  expect(await bench.effects()).toEqual([])
  expect(await bench.parked()).toMatchObject([{ attempts: 2, reason_code: 'HANDLER_FAILED' }])
})

test.each([1, 0])('a message that fails costs no connection, alone or in a last transaction (attempts before: %i)', async (attempts) => {
  const bench = await ConsumeBench.open()
  await bench.park(...Array.from({ length: 15 }, () => 'a'))
  await bench.query('update trunkline.parked_message set attempts = $1', [attempts])
  const assembly = bench.assembly()
  const processes = new Set<unknown>()
  let calls = 0
  assembly.subscribe(
    Counted,
    async ({ data }, { tx }) => {
      processes.add((await tx.query('select pg_backend_pid()')).rows[0]?.['pg_backend_pid'])
      calls++
      if (data.version > 10 && calls < 25) throw new Error('no')
    },
    { retry: { inline: 20, delays: [] } },
  )
  await assembly.start({ run: ['consume'] })

  await until('all of them', async () => (await bench.parked()).length === 0)

  expect(calls).toBeGreaterThanOrEqual(25)
  // As many as the pool has, at most.
  expect(processes.size).toBeLessThanOrEqual(4)
})

test('a crash that cannot be recorded at once is recorded later', async () => {
  const bench = await ConsumeBench.open()
  await bench.park('a')
  await bench.query('update trunkline.parked_key set lease_token = gen_random_uuid(), lease_alone = true')
  let away = 2
  const assembly = bench.assembly({
    retries: (real) =>
      retriesWith(real, {
        fail: (tx, key, failed) =>
          away-- > 0 ? Promise.reject(new TransientError('DATABASE_UNAVAILABLE', 'Away.')) : real.fail(tx, key, failed),
      }),
  })
  const witness = new Witness(assembly.diagnostics)
  applying(assembly, () => undefined)
  await assembly.start({ run: ['consume'] })

  await witness.saw('delivery.parked')

  expect(witness.count('delivery.started')).toBe(0)
  expect(await bench.parked()).toMatchObject([{ attempts: 2, reason_code: 'PROCESS_ENDED' }])
})

test('whoever wants to be alone waits for one message of a long queue, not for all of it', async () => {
  const bench = await ConsumeBench.open()
  const messages = 60
  await bench.park(...Array.from({ length: messages }, () => 'a'))
  const assembly = bench.assembly()
  const order: string[] = []
  let alone: Promise<unknown> = Promise.resolve()
  const hears = (key: string, version: number): void => {
    order.push(`${key}${version}`)
    if (version === 3) alone = assembly.solitude.alone(async () => order.push('alone'))
  }
  // One transaction each: such a queue is never drained in one.
  applying(assembly, hears, { transaction: 'message' })
  await assembly.start({ run: ['consume'] })

  await until('every effect', async () => (await bench.effects()).length === messages)
  await alone

  expect(order.slice(0, 5)).toEqual(['a1', 'a2', 'a3', 'alone', 'a4'])
})

test('a queue that is long lets another key have its turn', { timeout: 60_000 }, async () => {
  const bench = await ConsumeBench.open()
  const messages = 520
  await bench.park(...Array.from({ length: messages }, () => 'a'))
  await bench.park('b')
  const assembly = bench.assembly({}, bench.url, { workers: 1 })
  const order: string[] = []
  applying(assembly, (key, version) => order.push(`${key}${version}`), { transaction: 'message' })
  await assembly.start({ run: ['consume'] })

  await until('every effect', async () => (await bench.effects()).length === messages + 1, 50_000)

  expect(order.indexOf('b1')).toBeLessThan(messages)
  expect(order.filter((each) => each !== 'b1')).toEqual(Array.from({ length: messages }, (_, index) => `a${index + 1}`))
})

test('a last transaction that is told to stop begins no further message, and leaves all of them', async () => {
  const bench = await ConsumeBench.open()
  await bench.park(...Array.from({ length: 60 }, () => 'a'))
  // None has failed: the first ten run one by one, the others in one transaction.
  await bench.query('update trunkline.parked_message set attempts = 0')
  const assembly = bench.assembly()
  const witness = new Witness(assembly.diagnostics)
  let stopped: Promise<void> | undefined
  applying(assembly, (_, version) => {
    if (version === 20) stopped = assembly.stop()
  })
  await assembly.start({ run: ['consume'] })
  await until('the stop', () => stopped !== undefined)
  await stopped

  expect(witness.count('delivery.started')).toBe(20)
  expect(await bench.effects()).toHaveLength(10)
  expect(await bench.parked()).toHaveLength(50)
})

test('what may have ended a process still runs alone after a process that had to stop in the middle of it', async () => {
  const bench = await ConsumeBench.open()
  await bench.park('a')
  await bench.query('update trunkline.parked_key set lease_token = gen_random_uuid()')
  const alone: unknown[] = []
  const isAlone = async (): Promise<void> => {
    alone.push((await bench.query('select lease_alone from trunkline.parked_key'))[0]?.['lease_alone'])
  }
  const first = bench.assembly()
  let stopped: Promise<void> | undefined
  first.subscribe(Counted, async (_, { signal }) => {
    await isAlone()
    const told = once(signal, 'abort')
    stopped = first.stop()
    await told
    throw new Error('Stopped.')
  })
  await first.start({ run: ['consume'] })
  await until('the stop', () => stopped !== undefined)
  await stopped
  const second = bench.assembly()
  const witness = new Witness(second.diagnostics)
  second.subscribe(Counted, isAlone)

  await second.start({ run: ['consume'] })
  await witness.saw('retry.unparked')

  expect(alone).toEqual([true, true])
  expect(witness.count('delivery.failed')).toBe(0)
})

import { afterEach, beforeEach, expect, inject, onTestFinished, test, vi } from 'vitest'
import { main } from '../../../src/faces/cli/cli.ts'
import { ConsumeBench } from '../../core/consume/consume-bench.ts'
import { countedOn } from '../../kit/contracts.ts'
import { until } from '../../kit/wait.ts'

const Counted = countedOn('t')
const consent = ['--yes', '--reason', 'the supplier is down']

beforeEach(() => {
  for (const name of ['DATABASE_URL', 'KAFKA_BROKERS', 'KAFKA_DRIVER', 'KAFKA_PREFIX']) vi.stubEnv(name, undefined)
})

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  process.exitCode = undefined
})

/** Runs one command line of `trunkline group`. */
function run(bench: ConsumeBench, ...args: string[]) {
  return runCommand(bench, 'group', ...args)
}

/** Runs one command line. @returns what it printed, as data and as remarks */
async function runCommand(
  bench: ConsumeBench,
  ...args: string[]
): Promise<{ readonly data: string; readonly remarks: string; readonly exitCode: unknown }> {
  const log = vi.spyOn(console, 'log').mockReturnValue(undefined)
  const remarks: string[] = []
  const stderr = vi.spyOn(process.stderr, 'write').mockImplementation((line) => {
    remarks.push(String(line))
    return true
  })
  process.exitCode = undefined
  await main(['node', 'trunkline', ...args, '--database-url', bench.url])
  const data = log.mock.calls.map(([line]) => String(line)).join('\n')
  log.mockRestore()
  stderr.mockRestore()
  return { data, remarks: remarks.join(''), exitCode: process.exitCode }
}

/** Two processes of one service, as far as the database can tell. */
async function twoProcesses(): Promise<ConsumeBench> {
  const bench = await ConsumeBench.open(2)
  for (let one = 0; one < 2; one++) {
    const { backbone } = bench.backbone()
    backbone.subscribe(Counted, async ({ data }, { tx }) => {
      await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
    })
    await backbone.start({ run: ['consume'] })
  }
  return bench
}

test.each([
  ['failure', 'list'],
  ['failure', 'causes'],
  ['failure', 'redrive'],
  ['failure', 'discard'],
  ['failure', 'restore'],
  ['failure', 'show', '01a2229b'],
  ['group', 'lag'],
])('a name that no group has is told as such, and what was meant: %s %s', async (...command) => {
  const bench = await twoProcesses()

  const named = (name: string): string[] => [...command, ...(command[0] === 'group' ? [] : ['--group']), name]
  const near = await runCommand(bench, ...named('jugde'))
  const far = await runCommand(bench, ...named('billing-and-more'))
  const right = await runCommand(bench, ...named('judge'), ...(command[1] === 'lag' ? ['--brokers', '127.0.0.1:1'] : []))

  expect(near).toMatchObject({ data: '', remarks: 'There is no group "jugde" in this database. Did you mean "judge"?\n', exitCode: 2 })
  expect(far.remarks).toBe('There is no group "billing-and-more" in this database. Known: judge.\n')
  expect(right.remarks).not.toMatch(/no group/)
})

test('pause stops a group in every process, keeps its members, and resume lets it go on where it stood', async () => {
  const bench = await twoProcesses()
  await bench.publish('a')
  await bench.settled()

  const paused = await run(bench, 'pause', 'judge', ...consent)
  await bench.publish('b')
  const listed = await run(bench, 'list', '--json')
  const meanwhile = await bench.effects()
  const resumed = await run(bench, 'resume', 'judge', ...consent)
  await bench.settled()

  expect(paused).toMatchObject({ remarks: expect.stringContaining('nothing of it runs in any of its 2 processes'), exitCode: undefined })
  expect(meanwhile).toEqual(['a1'])
  expect(JSON.parse(listed.data).groups).toMatchObject([
    { group: 'judge', processes: 2, pausedProcesses: 2, lag: null, pause: { reason: 'the supplier is down' } },
  ])
  expect(resumed.remarks).toContain('Group "judge" goes on.')
  expect(await bench.effects()).toEqual(['a1', 'b1'])
  const acts = await bench.query("select act, reason from trunkline.audit where subject = 'group judge' order by seq")
  expect(acts).toEqual(['group pause', 'group resume'].map((act) => ({ act, reason: 'the supplier is down' })))
})

test('a process that starts while its group is paused begins nothing of it', async () => {
  const bench = await ConsumeBench.open()
  await bench.query("insert into trunkline.group_pause (consumer_group, paused_by, reason) values ('judge', 'a person', 'why')")
  await bench.publish('a')
  const { backbone, witness } = bench.backbone()
  backbone.subscribe(Counted, async () => undefined)

  await backbone.start({ run: ['consume'] })
  await witness.saw('consumer.assigned')

  expect((await backbone.health()).parts['consumer judge']).toEqual({ ready: true, state: 'paused by a person' })
  expect(witness.count('delivery.started')).toBe(0)
})

test('pausing twice changes nothing the second time, and is not in the audit', async () => {
  const bench = await twoProcesses()
  await run(bench, 'pause', 'judge', ...consent)

  const again = await run(bench, 'pause', 'judge', ...consent, '--json')

  expect(JSON.parse(again.data)).toMatchObject({ group: 'judge', changed: false, processes: 2, paused: 2 })
  expect(await bench.query('select from trunkline.audit')).toHaveLength(1)
})

test('a group that is not there is refused with the nearest name, and nothing is changed without consent', async () => {
  const bench = await twoProcesses()

  const unknown = await run(bench, 'pause', 'jugde', ...consent)
  const unasked = await run(bench, 'pause', 'judge')

  expect(unknown).toMatchObject({ exitCode: 2, remarks: expect.stringContaining('Did you mean "judge"?') })
  expect(unasked).toMatchObject({ exitCode: 2, remarks: expect.stringContaining('Pass --yes and --reason') })
  expect(await bench.query('select from trunkline.group_pause')).toEqual([])
})

test('list and lag go without Kafka, and say so', async () => {
  const bench = await twoProcesses()
  await bench.publish('a')
  await bench.settled()

  const lag = await run(bench, 'lag')
  const list = await run(bench, 'list')

  expect(lag.data.split('\n')).toHaveLength(3)
  expect(lag).toMatchObject({
    data: expect.stringMatching(/judge +t +0 +\d +- +-/),
    remarks: expect.stringContaining('The lag is not known: No Kafka is named'),
  })
  expect(list.data).toMatch(/judge +runs \(2 processes\) +2 +- +0 +0/)
})

test('forget lets a group pass over a type that no build handles any more, and refuses one that a running process handles', async () => {
  const bench = await ConsumeBench.open()
  const old = bench.backbone()
  old.backbone.subscribe(countedOn('t', 'test.Other'), async () => undefined)
  await old.backbone.start({ run: ['consume'] })
  await old.witness.saw('consumer.assigned')
  await old.backbone.stop()
  const { backbone, witness } = bench.backbone()
  backbone.subscribe(Counted, async () => undefined)
  await backbone.start({ run: ['consume'] })
  await witness.saw('consumer.assigned')
  const gone = async (): Promise<void> => {
    await backbone.transaction((tx) => backbone.publish(tx, [countedOn('t', 'test.Other')({ key: 'a', version: 1 })]))
  }
  const relay = bench.backbone()
  await relay.backbone.start({ run: ['relay'] })
  await gone()
  await witness.saw('delivery.parked', ({ reason }) => reason === 'HANDLER_ELSEWHERE')

  const handled = await run(bench, 'forget', 'judge', 'test.Counted', ...consent)
  const misspelt = await run(bench, 'forget', 'judge', 'test.Othre', ...consent)
  const elsewhere = await run(bench, 'forget', 'jugde', 'test.Other', ...consent)
  const forgotten = await run(bench, 'forget', 'judge', 'test.Other', ...consent)
  await run(bench, 'forget', 'judge', 'test.Other', ...consent)
  await bench.query('delete from trunkline.parked_message')
  await until('an unparked key', async () => (await bench.query('select from trunkline.parked_key')).length === 0)
  await gone()
  await witness.saw('delivery.skipped')

  expect(handled).toMatchObject({ exitCode: 2, remarks: expect.stringContaining('handled by 1 of the running processes of group "judge"') })
  expect(elsewhere).toMatchObject({ exitCode: 2, remarks: expect.stringContaining('See "trunkline group list"') })
  expect(misspelt).toMatchObject({ exitCode: 2, remarks: expect.stringContaining('Did you mean "test.Other"?') })
  expect(forgotten).toMatchObject({
    exitCode: undefined,
    remarks: expect.stringContaining('trunkline failure discard --group judge --type test.Other'),
  })
  expect(await bench.query('select act, subject, details from trunkline.audit')).toEqual([
    { act: 'group forget', subject: 'group judge', details: { name: 'test.Other' } },
  ])
})

test.skipIf(inject('brokers').length === 0)('lag is what stands between a group and the end of its topic', async () => {
  const bench = await ConsumeBench.open()
  const topic = `${inject('runPrefix')}lag`
  const { kafkajsAdmin } = await import('../../../src/adapters/kafkajs/admin.ts')
  const { backbone } = bench.backbone()
  await backbone.stop()
  const { createBackbone } = await import('../../../src/index.ts')
  const Behind = countedOn(topic)
  const service = createBackbone({
    service: 'judge',
    kafka: { driver: 'kafkajs', brokers: inject('brokers') },
    database: { connectionString: bench.url },
    logger: false,
  })
  onTestFinished(() => service.stop())
  const admin = kafkajsAdmin({ brokers: inject('brokers'), clientId: 'test' })
  onTestFinished(() => admin.close())
  await admin.createTopics([{ name: topic, partitions: 1, replicationFactor: 1 }])
  await service.start({ run: ['relay'] })
  await service.transaction((tx) =>
    service.publish(
      tx,
      [1, 2, 3].map((version) => Behind({ key: 'a', version })),
    ),
  )
  await until('an empty outbox', async () => (await bench.query('select from trunkline.outbox')).length === 0)
  await bench.query(
    "insert into trunkline.consumer_position (consumer_group, topic, partition, epoch, next_offset) values ('judge', $1, 0, 1, 1)",
    [topic],
  )

  const lag = await run(bench, 'lag', 'judge', '--brokers', inject('brokers').join(','), '--json')

  expect(JSON.parse(lag.data)).toEqual({ partitions: [{ group: 'judge', topic, partition: 0, next: '1', end: '3', lag: '2' }] })
})

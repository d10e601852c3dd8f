import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterEach, beforeEach, describe, expect, inject, onTestFinished, test, vi } from 'vitest'
import { kafkajsLog } from '../../../src/adapters/kafkajs/kafkajs-log.ts'
import type { LogDriver } from '../../../src/core/broker/log-driver.ts'
import { main } from '../../../src/faces/cli/cli.ts'
import { appended, numbered, soon } from '../../conformance/log-subject.ts'
import { createTestDatabase } from '../../kit/database.ts'

const brokers = inject('brokers')
const consent = ['--yes', '--reason', 'more customers']

let topic: string
let log: LogDriver
let project: string
let url: string
let client: Client

beforeEach(async () => {
  topic = `orders-${randomUUID().slice(0, 8)}`
  project = await mkdtemp(join(tmpdir(), 'trunkline-topic-'))
  onTestFinished(() => rm(project, { recursive: true, force: true }))
  await mkdir(join(project, 'schemas/shop'), { recursive: true })
  const schema = {
    type: 'record',
    name: 'Placed',
    namespace: 'shop',
    doc: 'x',
    trunkline: { kind: 'event', topic, key: 'id' },
    fields: [{ name: 'id', type: 'string' }],
  }
  await writeFile(join(project, 'schemas/shop/Placed.v1.avsc'), JSON.stringify(schema))
  await writeFile(join(project, 'package.json'), '{"type":"module"}')
  vi.spyOn(process, 'cwd').mockReturnValue(project)
  for (const name of ['DATABASE_URL', 'KAFKA_BROKERS', 'KAFKA_DRIVER', 'KAFKA_PREFIX']) vi.stubEnv(name, undefined)
  const database = await createTestDatabase()
  onTestFinished(() => database.drop())
  url = database.url
  client = new Client({ connectionString: url })
  await client.connect()
  onTestFinished(() => client.end())
  log = kafkajsLog({ brokers, clientId: 'topics' })
  onTestFinished(async () => {
    await log.producer.stop(1_000)
    await log.admin.close()
  })
})

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  process.exitCode = undefined
})

/** Runs one command line in the project. A config file that was loaded is not read again, so each text has a file of its own. */
async function run(
  options: object,
  ...args: string[]
): Promise<{ readonly data: string; readonly remarks: string; readonly exitCode: unknown }> {
  const folder = await mkdtemp(join(project, 'config-'))
  await writeFile(join(folder, 'trunkline.config.ts'), `export default ${JSON.stringify({ topics: options, schemas: '../schemas' })}`)
  vi.mocked(process.cwd).mockReturnValue(folder)
  const printed = vi.spyOn(console, 'log').mockReturnValue(undefined)
  const remarks: string[] = []
  const stderr = vi.spyOn(process.stderr, 'write').mockImplementation((line) => {
    remarks.push(String(line))
    return true
  })
  process.exitCode = undefined
  await main(['node', 'trunkline', 'topic', ...args, '--brokers', brokers.join(',')])
  const data = printed.mock.calls.map(([line]) => String(line)).join('\n')
  printed.mockRestore()
  stderr.mockRestore()
  return { data, remarks: remarks.join(''), exitCode: process.exitCode }
}

const withDatabase = (): string[] => ['--database-url', url]

async function made(partitions: number, settings: Record<string, string> = {}): Promise<void> {
  await log.admin.createTopics([{ name: topic, partitions, replicationFactor: 1, settings }])
}

describe.skipIf(brokers.length === 0)('on a real Kafka (skipped without Java 17 and Maven, or TRUNKLINE_TEST_KAFKA_BROKERS)', () => {
  test('plan says what is missing and ends with 3, apply makes it, and then there is nothing left', async () => {
    const options = { partitions: 2, retention: '2d', overrides: { [topic]: { partitions: 3 } } }

    const planned = await run(options, 'plan')
    const dry = await run(options, 'apply', '--dry-run')
    const before = await log.admin.describeTopic(topic)
    const applied = await run(options, 'apply', ...consent)
    const again = await run(options, 'plan')

    expect(planned.exitCode).toBe(3)
    expect(planned.data).toMatch(new RegExp(`${topic} +is missing +creates it: 3 partitions, replication 1, retention.ms 172800000`))
    expect(dry.exitCode).toBe(3)
    expect(before).toBeUndefined()
    expect([applied.exitCode, applied.remarks]).toEqual([undefined, expect.stringContaining('Done: 1 difference.')])
    expect(await log.admin.describeTopic(topic)).toMatchObject({ partitions: 3, settings: { 'retention.ms': '172800000' } })
    expect([again.exitCode, again.remarks]).toEqual([undefined, expect.stringContaining('as they should be')])
  })

  test('apply changes a setting, keeps those of which the project says nothing, and does nothing without a yes', async () => {
    await made(1, { 'retention.ms': '1000', 'segment.bytes': '1048576' })
    const options = { partitions: 1, retention: '1d', minInSyncReplicas: 1 }

    const asked = await run(options, 'apply')
    const unchanged = await log.admin.describeTopic(topic)
    await run(options, 'apply', ...consent)

    expect([asked.exitCode, asked.remarks]).toEqual([2, expect.stringContaining('--yes')])
    expect(unchanged?.settings['retention.ms']).toBe('1000')
    expect((await log.admin.describeTopic(topic))?.settings).toEqual({
      'retention.ms': '86400000',
      'segment.bytes': '1048576',
      'min.insync.replicas': '1',
    })
  })

  test('apply never takes partitions away nor changes the policy: it reports both and ends with 3', async () => {
    await made(4, { 'cleanup.policy': 'compact' })

    const { exitCode, data, remarks } = await run({ partitions: 2, cleanupPolicy: 'delete' }, 'apply', '--json', ...consent)

    expect([exitCode, remarks]).toEqual([3, ''])
    expect(JSON.parse(data)).toMatchObject({ done: 0, left: 2, topics: [{ topic, differences: [{ kind: 'report' }, { kind: 'report' }] }] })
    expect(await log.admin.describeTopic(topic)).toMatchObject({ partitions: 4, settings: { 'cleanup.policy': 'compact' } })
  })

  test('list shows what is there and what is missing', async () => {
    const missing = await run({}, 'list')
    await made(2, { 'retention.ms': '-1' })
    const there = await run({}, 'list')

    expect(missing.data).toMatch(new RegExp(`${topic} +missing`))
    expect(there.data).toMatch(new RegExp(`${topic} +2 +1 +brokers +forever +brokers`))
  })

  test('a topic that was made again is told by the offsets that its groups have read', async () => {
    await made(1)
    await client.query(
      "insert into trunkline.consumer_position (consumer_group, topic, partition, epoch, next_offset) values ('billing', $1, 0, 1, 7)",
      [topic],
    )

    const { exitCode, data } = await run({ partitions: 1 }, 'plan', ...withDatabase())

    expect(exitCode).toBe(3)
    expect(data).toContain('It was made again: group "billing" has read to offset 7 of partition 0, which ends at 0')
  })

  test('partitions are raised only when asked for, with the count of the keys and the positions of groups, and it is in the audit', async () => {
    await made(2)
    await client.query('insert into trunkline.topic (name, partitions) values ($1, 2)', [topic])
    await client.query(
      "insert into trunkline.consumer_position (consumer_group, topic, partition, epoch, next_offset) values ('billing', $1, 0, 1, 0)",
      [topic],
    )

    const without = await run({ partitions: 4 }, 'apply', ...withDatabase(), ...consent)
    const between = await log.admin.partitionsOf(topic)
    const raised = await run({ partitions: 4 }, 'apply', '--raise-partitions', ...withDatabase(), ...consent)

    expect([without.exitCode, between]).toEqual([3, 2])
    expect([without.data, raised.data]).toEqual([
      expect.stringContaining('only with --raise-partitions: keys move'),
      expect.stringContaining('raises them: keys move'),
    ])
    expect([raised.exitCode, await log.admin.partitionsOf(topic)]).toEqual([undefined, 4])
    expect((await client.query('select partitions from trunkline.topic where name = $1', [topic])).rows).toEqual([{ partitions: 4 }])
    const positions = await client.query(
      'select partition, next_offset::int from trunkline.consumer_position where topic = $1 order by 1',
      [topic],
    )
    expect(positions.rows).toEqual([0, 2, 3].map((partition) => ({ partition, next_offset: 0 })))
    const audit = await client.query('select act, subject, reason from trunkline.audit where subject = $1', [topic])
    expect(audit.rows).toEqual([{ act: 'topic raise', subject: topic, reason: 'more customers' }])
    expect((await client.query('select owner from trunkline.outbox_lease')).rows).toEqual([{ owner: null }])
  })

  test.each([
    ['a relay is in office', 'RELAY_IN_OFFICE', /A relay of this service is in office/],
    ['a group has something to read', 'GROUP_BEHIND', /Group "billing" has 3 records/],
    ['a key is parked', 'KEYS_PARKED', /1 keys of .* are parked/],
  ])('partitions are not raised while %s', async (_, why, message) => {
    await made(1)
    await log.producer.start(soon())
    await appended(log.producer, topic, 0, numbered(3))
    const next = why === 'GROUP_BEHIND' ? 0 : 3
    await client.query(
      "insert into trunkline.consumer_position (consumer_group, topic, partition, epoch, next_offset) values ('billing', $1, 0, 1, $2)",
      [topic, next],
    )
    if (why === 'RELAY_IN_OFFICE')
      await client.query("update trunkline.outbox_lease set owner = 'shop', expires_at = now() + interval '1 minute'")
    if (why === 'KEYS_PARKED')
      await client.query("insert into trunkline.parked_key (consumer_group, topic, key_hash, key) values ('billing', $1, '\\x01', 'k')", [
        topic,
      ])

    const { exitCode, remarks } = await run({ partitions: 2 }, 'apply', '--raise-partitions', ...withDatabase(), ...consent)

    expect(exitCode).toBe(1)
    expect(remarks).toMatch(message)
    expect(await log.admin.partitionsOf(topic)).toBe(1)
    const { rows } = await client.query<{ owner: string | null }>('select owner from trunkline.outbox_lease')
    expect(rows).toEqual([{ owner: why === 'RELAY_IN_OFFICE' ? 'shop' : null }])
  })
})

import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { event, folderOf } from '../../core/contract/schema-folder.ts'
import { RegistryFake } from '../../kit/registry-fake.ts'

const bin = fileURLToPath(new URL('../../../src/faces/cli/bin.ts', import.meta.url))
const note = { name: 'note', type: 'string', default: '' }
const v1 = 'schemas/orders/OrderPlaced.v1.avsc'
const v2 = 'schemas/orders/OrderPlaced.v2.avsc'

let fake: RegistryFake

beforeEach(async () => {
  fake = await RegistryFake.start()
})

afterEach(async () => {
  await fake.stop()
})

interface Result {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Not `spawnSync`: the fake answers from this process. */
async function register(cwd: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = { REGISTRY_URL: fake.url }): Promise<Result> {
  const { REGISTRY_URL: _, KAFKA_PREFIX: __, ...rest } = process.env
  const child = spawn(process.execPath, [bin, 'schema', 'register', ...args], { cwd, env: { ...rest, ...env } })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (data: Buffer) => (output.stdout += data.toString()))
  child.stderr.on('data', (data: Buffer) => (output.stderr += data.toString()))
  return await new Promise((resolve) => child.once('close', (status) => resolve({ status, ...output })))
}

function twoVersions(): string {
  // Written in the wrong order, because the order must not come from the disk.
  return folderOf({ [v2]: event('OrderPlaced', [note]), [v1]: event('OrderPlaced') })
}

describe('trunkline schema register', () => {
  test('registers every version in order, under topic and record name, and is done when run again', async () => {
    const folder = twoVersions()

    const first = await register(folder)
    const second = await register(folder)

    expect(first).toEqual({
      status: 0,
      stdout:
        'registered  shop.orders.OrderPlaced.v1  in orders-shop.orders.OrderPlaced  id 1\n' +
        'registered  shop.orders.OrderPlaced.v2  in orders-shop.orders.OrderPlaced  id 2\n',
      stderr: '',
    })
    expect(second.stdout.replaceAll('present   ', 'registered')).toBe(first.stdout)
    expect(fake.requests.filter((request) => request.includes('/versions'))).toHaveLength(2)
  })

  test('tells on a dry run what is there, what is new and what would be refused, and registers nothing', async () => {
    const folder = twoVersions()
    const before = await register(folder, ['--dry-run', '--json'])
    await register(folder)
    await fetch(`${fake.url}/config`, { method: 'PUT', body: '{"compatibility":"FULL_TRANSITIVE"}' })
    writeFileSync(
      join(folder, 'schemas/orders/OrderPlaced.v3.avsc'),
      JSON.stringify(event('OrderPlaced', [{ name: 'sku', type: 'string' }])),
    )
    fake.requests.length = 0

    const after = await register(folder, ['--dry-run', '--json'])

    const states = ({ stdout }: Result): unknown =>
      JSON.parse(stdout).map(({ type, state, id }: Record<string, unknown>) => [type, state, id])
    expect(before.status).toBe(0)
    expect(states(before)).toEqual([
      ['shop.orders.OrderPlaced.v1', 'new', null],
      ['shop.orders.OrderPlaced.v2', 'new', null],
    ])
    expect(after.status).toBe(3)
    expect(states(after)).toEqual([
      ['shop.orders.OrderPlaced.v1', 'present', 1],
      ['shop.orders.OrderPlaced.v2', 'present', 2],
      ['shop.orders.OrderPlaced.v3', 'refused', null],
    ])
    expect(
      fake.requests.some(
        (request) => request.startsWith('POST') && request.includes('/subjects/orders-shop.orders.OrderPlaced/versions?n'),
      ),
    ).toBe(false)
  })

  test('stops at the first version that the registry refuses, says why, and ends with 3', async () => {
    fake.failNext(
      { status: 404, body: '{"error_code":40401,"message":"none"}' },
      { status: 409, body: '{"error_code":409,"message":"other keys"}' },
    )

    const { status, stdout, stderr } = await register(twoVersions())

    expect(status).toBe(3)
    expect(stdout).toContain('refused     shop.orders.OrderPlaced.v1')
    expect(stdout).toContain('other keys')
    expect(stdout).not.toContain('OrderPlaced.v2')
    expect(stderr).toBe('The registry refuses shop.orders.OrderPlaced.v1.\n')
  })

  test('tells the same of one that the registry refuses when it is looked up', async () => {
    fake.failNext({ status: 422, body: '{"error_code":42201,"message":"bad default"}' })

    const { status, stdout } = await register(twoVersions())

    expect(status).toBe(3)
    expect(stdout).toMatch(/^refused {5}shop\.orders\.OrderPlaced\.v1 [\s\S]*bad default/)
  })

  test('ends with 4 when the registry cannot be reached, and with 2 when none is named', async () => {
    const folder = twoVersions()

    const unreachable = await register(folder, ['--url', 'http://127.0.0.1:1'])
    const unset = await register(folder, [], {})

    expect(unreachable).toMatchObject({ status: 4, stderr: expect.stringContaining('cannot be reached') })
    expect(unset).toMatchObject({ status: 2, stderr: expect.stringContaining('REGISTRY_URL') })
  })

  test('takes the subjects and the login from the configuration, and the prefix of topics from the environment', async () => {
    const folder = twoVersions()
    const registry = { url: fake.url, subjects: 'TopicName', auth: { token: 't' } }
    writeFileSync(join(folder, 'trunkline.config.ts'), `export default { registry: ${JSON.stringify(registry)} }`)

    const { status, stdout } = await register(folder, [], { KAFKA_PREFIX: 'test-' })

    expect(status).toBe(0)
    expect(stdout).toContain('in test-orders-value')
    expect(new Set(fake.logins)).toEqual(new Set(['Bearer t']))
  })

  test('registers what the participant guard answers with beside the replies of a service', async () => {
    const reply = {
      type: 'record',
      name: 'Reserved',
      namespace: 'shop.stock',
      trunkline: { kind: 'reply', topic: 'stock-replies', key: null },
      fields: [],
    }

    const { stdout } = await register(folderOf({ 'schemas/stock/Reserved.v1.avsc': reply }), ['--json'])

    expect(JSON.parse(stdout).map(({ subject }: { subject: string }) => subject)).toEqual([
      'stock-replies-shop.stock.Reserved',
      'stock-replies-trunkline.CommandSettled',
    ])
  })
})

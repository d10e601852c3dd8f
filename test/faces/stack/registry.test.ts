import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { RegistryClient } from '../../../src/adapters/registry/registry-client.ts'
import { environment } from '../../../src/environment.ts'
import { isFree } from '../../../src/faces/stack/ports.ts'
import { type Stack, type StackOptions, startStack } from '../../../src/faces/stack/stack.ts'
import { systemClock } from '../../../src/foundation/clock.ts'
import { registryServer } from '../../kit/registry-server.ts'

const { missing } = await registryServer()
const given = { brokers: ['kafka.example:9092'], databaseUrl: 'postgresql://somebody@db.example/orders' }

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'trunkline-registry-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

async function start(options: Partial<StackOptions>): Promise<Stack> {
  const stack = await startStack({ given, env: process.env, say: () => undefined, ...options })
  onTestFinished(() => stack.stop())
  return stack
}

function client(stack: Stack): RegistryClient {
  return new RegistryClient({ clock: systemClock }, { url: stack.registryUrl ?? '', timeoutMs: 10_000 })
}

test.skipIf(missing !== undefined)(
  `starts a registry beside given servers, and keeps its schemas and their ids for the next start${missing === undefined ? '' : ` (skipped: ${missing})`}`,
  async () => {
    const directory = await folder()
    const schema = (name: string) => ({ schema: JSON.stringify({ type: 'record', name, fields: [] }) })
    const first = await start({ registry: true, directory })
    const ids = [await client(first).register('a', schema('A')), await client(first).register('b', schema('B'))]
    await first.stop()

    const second = await start({ registry: true, directory })

    expect(second.environment()).toMatchObject({ DATABASE_URL: given.databaseUrl, REGISTRY_URL: second.registryUrl })
    expect(environment(second.environment()).registry).toEqual({ url: second.registryUrl })
    expect([await client(second).find('a', schema('A')), await client(second).find('b', schema('B'))]).toEqual(ids)
    const port = Number(new URL(second.registryUrl ?? '').port)
    await second.stop()
    expect(await isFree(port)).toBe(true)
  },
  60_000,
)

test('takes a given registry as it is, without being asked for one', async () => {
  const stack = await start({ given: { ...given, registryUrl: 'https://registry.example/api' } })

  expect(stack.registryUrl).toBe('https://registry.example/api')
  expect(stack.servers.map((server) => server.pids)).toEqual([[], [], []])
})

test('has no registry where nobody asked for one', async () => {
  const stack = await start({})

  expect(stack.environment()).not.toHaveProperty('REGISTRY_URL')
  expect(environment(stack.environment())).not.toHaveProperty('registry')
})

test('says what to install where a registry cannot be run', async () => {
  const env = { PATH: '', XDG_CACHE_HOME: await folder() }

  await expect(startStack({ given, registry: true, env, say: () => undefined })).rejects.toMatchObject({
    name: 'ConfigurationError',
    code: 'NO_REGISTRY',
    message: expect.stringMatching(/install (a Java 21|Maven).*REGISTRY_URL/),
  })
})

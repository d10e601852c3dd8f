import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { RegistryClient } from '../../../src/adapters/registry/registry-client.ts'
import { systemClock } from '../../../src/foundation/clock.ts'
import { messageOf } from '../../../src/foundation/errors.ts'
import { schemaRegistryConformance } from '../../conformance/schema-registry.ts'
import { type Fault, RegistryFake } from '../../kit/registry-fake.ts'

let fake: RegistryFake

beforeAll(async () => {
  fake = await RegistryFake.start()
})

afterEach(() => {
  fake.failAlways()
  fake.requests.length = 0
  fake.logins.length = 0
})

afterAll(async () => {
  await fake.stop()
})

function client(options: Partial<ConstructorParameters<typeof RegistryClient>[1]> = {}): RegistryClient {
  return new RegistryClient({ clock: systemClock }, { url: fake.url, timeoutMs: 2_000, ...options })
}

schemaRegistryConformance('the fake registry', () => ({ client: client() }))

const order = { schema: '{"type":"record","name":"shop.Order","fields":[{"name":"id","type":"string"}]}' }

test('asks again after a 500, a 429 and a lost connection, and then takes the answer', async () => {
  const id = await client().register('again', order)
  fake.failNext(
    { status: 500, body: '{"error_code":50001,"message":"store"}' },
    { status: 429, headers: { 'retry-after': '0.05' } },
    { reset: true },
  )

  const found = await client().getById(id)

  expect(found?.schema).toBe(order.schema)
})

test('gives up on a registry that keeps failing, and says what it said', async () => {
  fake.failAlways({ status: 503, body: '{"error_code":50301,"message":"no leader"}' })

  await expect(client().getById(1)).rejects.toMatchObject({
    name: 'TransientError',
    code: 'REGISTRY_UNAVAILABLE',
    message: expect.stringContaining('no leader'),
  })
  expect(fake.requests).toHaveLength(4)
})

const answers: readonly {
  readonly title: string
  readonly fault: Fault
  readonly name: string
  readonly code: string
  readonly says: string
}[] = [
  {
    title: 'an address that is no registry',
    fault: { status: 404, body: 'page not found' },
    name: 'ConfigurationError',
    code: 'REGISTRY_ADDRESS_WRONG',
    says: 'registry.url',
  },
  {
    title: 'a login that is refused',
    fault: { status: 401, body: '' },
    name: 'ConfigurationError',
    code: 'REGISTRY_FORBIDDEN',
    says: 'registry.auth',
  },
  {
    title: 'an incompatible schema',
    fault: { status: 409, body: '{"error_code":40901,"message":"incompatible"}' },
    name: 'ConfigurationError',
    code: 'REGISTRY_INCOMPATIBLE',
    says: 'schema check',
  },
  {
    title: 'a schema that is refused',
    fault: { status: 422, body: '{"error_code":42201,"message":"invalid"}' },
    name: 'ConfigurationError',
    code: 'REGISTRY_SCHEMA_REFUSED',
    says: 'invalid',
  },
  {
    title: 'a request that it does not understand',
    fault: { status: 405 },
    name: 'ConfigurationError',
    code: 'REGISTRY_REFUSED',
    says: '405',
  },
  {
    title: 'a page of HTML',
    fault: { body: '<html>log in</html>' },
    name: 'TransientError',
    code: 'REGISTRY_UNAVAILABLE',
    says: 'not JSON',
  },
  { title: 'JSON of another kind', fault: { body: '{"id":"one"}' }, name: 'TransientError', code: 'REGISTRY_UNAVAILABLE', says: '(id)' },
  { title: 'an endless answer', fault: { endless: true }, name: 'TransientError', code: 'REGISTRY_UNAVAILABLE', says: '1048576 bytes' },
  {
    title: 'a redirect',
    fault: { status: 302, headers: { location: 'https://elsewhere.example/x' } },
    name: 'ConfigurationError',
    code: 'REGISTRY_REDIRECTED',
    says: 'elsewhere.example',
  },
]

for (const { title, fault, name, code, says } of answers) {
  test(`takes ${title} for what it is, and says what to do`, async () => {
    fake.failAlways(fault)

    await expect(client().register('answers', order)).rejects.toMatchObject({ name, code, message: expect.stringContaining(says) })
  })
}

test('does not follow a redirect with its password', async () => {
  const other = await RegistryFake.start()
  fake.failAlways({ status: 307, headers: { location: `${other.url}/subjects` } })

  await client({ auth: { username: 'shop', password: 'secret' } })
    .versions('x')
    .catch(() => undefined)

  expect(other.requests).toEqual([])
  await other.stop()
})

test('waits for a slow registry no longer than its time', async () => {
  fake.failAlways({ hang: true })
  const start = performance.now()

  await expect(client({ timeoutMs: 150 }).getById(1)).rejects.toMatchObject({
    code: 'REGISTRY_UNAVAILABLE',
    message: expect.stringContaining('150 ms'),
  })
  expect(performance.now() - start).toBeLessThan(1_000)
})

test('says that a registry is not there', async () => {
  const gone = await RegistryFake.start()
  const { url } = gone
  await gone.stop()

  await expect(client({ url }).getById(1)).rejects.toMatchObject({
    code: 'REGISTRY_UNAVAILABLE',
    message: expect.stringContaining('ECONNREFUSED'),
  })
})

test('stops asking when whoever asked does not want to know any more', async () => {
  fake.failAlways({ hang: true })
  const stopping = new AbortController()
  const asked = client().getById(1, stopping.signal)

  stopping.abort()

  await expect(asked).rejects.toMatchObject({ name: 'AbortError' })
})

test('logs in with a user and password, from the options or the address, or with a token', async () => {
  const basic = `Basic ${Buffer.from('shop:p@ss').toString('base64')}`
  const url = fake.url.replace('http://', 'http://shop:p%40ss@')

  await client({ auth: { username: 'shop', password: 'p@ss' } }).mode()
  await client({ url }).mode()
  await client({ auth: { token: 'abc' } }).mode()
  await client().mode()

  expect(fake.logins).toEqual([basic, basic, 'Bearer abc', undefined])
})

test('keeps its password out of every message', async () => {
  const url = fake.url.replace('http://', 'http://shop:s3cret@')
  const faults: Fault[] = [{ status: 401 }, { status: 404 }, { status: 500 }, { status: 302 }, { body: 'x' }, { hang: true }]
  const said: string[] = []

  for (const fault of faults) {
    fake.failAlways(fault)
    const error: unknown = await client({ url, timeoutMs: 200 })
      .mode()
      .catch((problem: unknown) => problem)
    said.push(messageOf(error), JSON.stringify(error))
  }

  expect(said).toHaveLength(12)
  expect(said.join('\n')).not.toContain('s3cret')
  expect(client({ url }).address).toBe(fake.url)
})

test('shows no more of a strange answer than a line of it', async () => {
  fake.failAlways({ status: 400, body: JSON.stringify({ error_code: 400, message: `bad\u001b[31m\n${'x'.repeat(5_000)}` }) })

  const error: unknown = await client()
    .mode()
    .catch((problem: unknown) => problem)

  expect(messageOf(error).length).toBeLessThan(500)
  expect(messageOf(error)).not.toMatch(/\p{Cc}/u)
})

test('refuses references that lead nowhere', async () => {
  const reference = { name: 'shop.Money', subject: 'gone', version: 1 }
  const id = await client().register('refers', {
    schema: '{"type":"record","name":"shop.R","fields":[{"name":"m","type":"shop.Money"}]}',
    references: [reference],
  })

  await expect(client().getById(id)).rejects.toMatchObject({
    name: 'ContractError',
    code: 'SCHEMA_UNUSABLE',
    message: expect.stringContaining('"gone"'),
  })
})

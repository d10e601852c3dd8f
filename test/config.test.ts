import { describe, expect, test } from 'vitest'
import { createBackbone } from '../src/index.ts'

const nothing = (): void => undefined
const others = {
  service: 'shop',
  kafka: { driver: 'memory' },
  database: { connectionString: 'postgres://localhost/none' },
  logger: false,
} as const

test.each(['shop.eu', 'Shop', 'shop_eu', '', 's'.repeat(64)])('a service is not called "%s"', (service) => {
  expect(() => createBackbone({ ...others, service })).toThrow(
    expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringMatching(/"service".*lower-case letters.*write "shop-eu"/) }),
  )
})

test.each(['localhost', 'kafka://localhost:9092', 'a:9092,b:9092', ' a:9092', ':9092', 'a:port', '::1:9092', 'a:0', 'a:65536'])(
  'a broker is not "%s"',
  (broker) => {
    expect(() => createBackbone({ ...others, kafka: { driver: 'kafkajs', brokers: ['good:9092', broker] } })).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringMatching(/"kafka\.brokers.*host:port/) }),
    )
  },
)

test.each(['localhost:9092', '10.0.0.1:9092', '[::1]:9092', 'b-1.my_cluster.example:19092'])('a broker may be %s', (broker) => {
  expect(createBackbone({ ...others, kafka: { driver: 'kafkajs', brokers: [broker] } }).service).toBe('shop')
})

describe('the option "registry"', () => {
  test.each([
    ['no address', { url: 'localhost:8081' }],
    ['another protocol', { url: 'ftp://localhost' }],
    ['a misspelt option', { url: 'http://localhost', subject: 'TopicName' }],
    ['both an address and a client', { url: 'http://localhost', client: { getById: nothing, register: nothing } }],
    ['a client that cannot register', { client: { getById: nothing } }],
    ['a strategy that there is not', { url: 'http://localhost', subjects: 'Topic' }],
    ['half a login', { url: 'http://localhost', auth: { username: 'a' } }],
    ['no time at all', { url: 'http://localhost', timeout: '1ms' }],
  ])('refuses %s, and names itself', (_, registry) => {
    expect(() => createBackbone({ ...others, registry: registry as never })).toThrow(
      expect.objectContaining({ name: 'ConfigurationError', code: 'OPTION_INVALID', message: expect.stringContaining('registry') }),
    )
  })

  test('opens nothing before it is used', async () => {
    const backbone = createBackbone({ ...others, registry: { url: 'http://127.0.0.1:1' } })

    expect(backbone.service).toBe('shop')
    await backbone.stop()
  })
})

import { expect, test } from 'vitest'
import { environment } from '../src/environment.ts'

const complete = { KAFKA_BROKERS: 'a:9092, b:9092', DATABASE_URL: 'postgres://localhost/orders' }

test('reads the addresses', () => {
  expect(environment(complete)).toEqual({
    kafka: { driver: 'kafkajs', prefix: '', brokers: ['a:9092', 'b:9092'] },
    database: { connectionString: 'postgres://localhost/orders' },
  })
})

test.each(['KAFKA_BROKERS', 'DATABASE_URL'])('names %s when it is missing, and says how to get it', (name) => {
  expect(() => environment({ ...complete, [name]: '' })).toThrow(new RegExp(`^${name} is not set.*trunkline dev run`))
})

test('chooses the second driver by its name', () => {
  expect(environment({ ...complete, KAFKA_DRIVER: 'platformatic' }).kafka).toEqual({
    driver: 'platformatic',
    prefix: '',
    brokers: ['a:9092', 'b:9092'],
  })
})

test('the memory log needs no brokers', () => {
  expect(environment({ KAFKA_DRIVER: 'memory', DATABASE_URL: complete.DATABASE_URL }).kafka).toEqual({ driver: 'memory', prefix: '' })
})

test.each([
  ['KAFKA_DRIVER', 'rabbit', /"kafkajs", "platformatic" or "memory"/],
  ['LOG_LEVEL', 'loud', /debug, info, warn, error, silent/],
])('an unknown %s is refused with what it may be', (name, value, message) => {
  expect(() => environment({ ...complete, [name]: value })).toThrow(message)
})

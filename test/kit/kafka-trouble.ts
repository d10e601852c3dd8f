import { inject, onTestFinished } from 'vitest'
import type { LogConsumer } from '../../src/core/broker/log-consumer.ts'
import type { LogDriver } from '../../src/core/broker/log-driver.ts'
import { KafkaProxy } from './kafka-proxy.ts'

/** A way to the suite's broker that a test can disturb; it ends with the test. */
export async function proxied(): Promise<KafkaProxy> {
  const proxy = await new KafkaProxy(inject('brokers')[0] ?? '').start()
  onTestFinished(() => proxy[Symbol.asyncDispose]())
  return proxy
}

/** The driver, which is closed with the test. */
export function closedLater(driver: LogDriver): LogDriver {
  onTestFinished(async () => {
    await driver.producer.stop(1_000)
    await driver.admin.close()
  })
  return driver
}

/** The consumer, which is stopped with the test. */
export function stoppedLater(consumer: LogConsumer): LogConsumer {
  onTestFinished(() => consumer.stop(2_000))
  return consumer
}

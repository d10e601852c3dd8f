import { kafkajsLog } from '../src/adapters/kafkajs/kafkajs-log.ts'
import { platformaticLog } from '../src/adapters/platformatic/platformatic-log.ts'
import type { LogDriver } from '../src/core/broker/log-driver.ts'

/** Our port over each driver, by the driver's name. A client is loaded when it is first used, so a process has one of them. */
export const ports = {
  kafkajs: (brokers: readonly string[]): LogDriver => kafkajsLog({ brokers, clientId: 'bench' }),
  platformatic: (brokers: readonly string[]): LogDriver => platformaticLog({ brokers, clientId: 'bench' }),
}
export type DriverName = keyof typeof ports

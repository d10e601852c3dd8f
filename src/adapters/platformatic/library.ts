import { ConfigurationError, messageOf } from '../../foundation/errors.ts'

export type Library = typeof import('@platformatic/kafka')

const INSTALL = 'npm install @platformatic/kafka@^2.12.1'

/**
 * Loads `@platformatic/kafka`, an optional peer, when it is first needed: nobody else has to have it.
 *
 * @throws ConfigurationError `KAFKA_DRIVER_MISSING`: it is not installed, or this Node cannot load it
 */
export async function loadLibrary(load: () => Promise<Library> = () => import('@platformatic/kafka')): Promise<Library> {
  try {
    return await load()
  } catch (error) {
    throw new ConfigurationError(
      'KAFKA_DRIVER_MISSING',
      `The Kafka driver "platformatic" needs the package @platformatic/kafka, which cannot be loaded: ${messageOf(error).split('\n')[0]}. ` +
        `Run "${INSTALL}" (it needs Node 22.22 or 24.6), or choose the driver "kafkajs".`,
      {},
      error,
    )
  }
}

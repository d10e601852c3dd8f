import type { Cluster } from '../internals.ts'

/**
 * Removes: whatever a broker answers to the question for a group's coordinator, kafkajs asks the next one, and in the
 * end says only that it found none. That this service may not use the group is never said, and is tried for ever.
 *
 * Here one more broker is asked, and its answer stands.
 */
export function tellCoordinatorErrors(cluster: Cluster): void {
  const find = cluster.findGroupCoordinatorMetadata
  cluster.findGroupCoordinatorMetadata = async (question) => {
    try {
      return await find.call(cluster, question)
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'KafkaJSGroupCoordinatorNotFound') throw error
      const broker = await cluster.brokerPool.findConnectedBroker()
      return await broker.findGroupCoordinator(question)
    }
  }
}

import { ConfigurationError } from '../../foundation/errors.ts'
import type { AnyContract } from '../contract/contract.ts'

const GROUP_NAME = /^[a-z0-9.-]{1,180}$/

/**
 * A group is known in the whole Kafka: under another service's name this one would take that one's partitions away, and
 * read them with a position of its own.
 *
 * @throws ConfigurationError `GROUP_FOREIGN`, `GROUP_NAME_INVALID`
 */
export function checkGroupName(service: string, name: string): void {
  if (typeof name !== 'string' || !GROUP_NAME.test(name)) {
    throw new ConfigurationError(
      'GROUP_NAME_INVALID',
      `group('${String(name)}'): a name has lower-case letters, digits, "-" and ".", at most 180. For example group('${service}.audit').`,
    )
  }
  if (name === service || (name.startsWith(`${service}.`) && name.length > service.length + 1)) return
  throw new ConfigurationError(
    'GROUP_FOREIGN',
    `group('${name}'): a group of service "${service}" is called "${service}" or "${service}.…", so that no two services share one and take each other's messages. Call it "${service}.${name}".`,
    { service, group: name },
  )
}

/**
 * A saga reads its starts and replies in a group of its own. Handlers there would share its position and its pauses, and
 * one that fails would hold up the saga's keys.
 *
 * @param isShared whether the other of the two has that name already
 * @throws ConfigurationError `GROUP_OF_SAGA`
 */
export function checkSagaGroup(service: string, saga: string, isShared: boolean): void {
  if (!isShared) return
  const group = `${service}.${saga}`
  throw new ConfigurationError(
    'GROUP_OF_SAGA',
    `"${group}" is the consumer group of saga "${saga}", and of it alone. Name yours otherwise, for example backbone.group('${group}-events').`,
    { group, saga },
  )
}

/** For whoever writes without types. @throws ConfigurationError `CONTRACT_MISSING`, `HANDLER_MISSING` */
export function checkSubscription(contracts: readonly (AnyContract | undefined)[], handler: unknown): void {
  if (contracts.length === 0 || contracts.some((contract) => contract?.definition?.name === undefined)) {
    throw new ConfigurationError(
      'CONTRACT_MISSING',
      'subscribe: the first argument is a contract, or a list of some, as "trunkline schema generate" writes them: subscribe(OrderPlaced, handler).',
    )
  }
  if (typeof handler === 'function') return
  const names = contracts.map((contract) => contract?.definition.name).join(', ')
  throw new ConfigurationError('HANDLER_MISSING', `subscribe(${names}): the handler must be a function, got ${typeof handler}.`)
}

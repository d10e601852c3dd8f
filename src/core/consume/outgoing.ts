import { ContractError } from '../../foundation/errors.ts'
import type { Outgoing } from '../contract/contract.ts'
import type { Publication } from '../outbox/publication.ts'
import type { PublishOptions } from './subscription.ts'

/** Extensions that the spine sets; a user's value would break a saga or hide where a message came from. */
const reserved = new Set([
  'id',
  'source',
  'type',
  'time',
  'specversion',
  'subject',
  'datacontenttype',
  'dataschema',
  'data',
  'correlationid',
  'causationid',
  'traceparent',
  'tracestate',
  'partitionkey',
  'sequence',
  'sagaid',
  'sagastep',
  'commandid',
  'actionid',
  'refusedby',
])

/**
 * What a user publishes, checked.
 *
 * @throws ContractError `ATTRIBUTE_RESERVED`: nothing was published
 */
export function toPublications(message: Outgoing | readonly Outgoing[], options: PublishOptions): Publication[] {
  const { attributes, correlationId, notBefore } = options
  for (const name of Object.keys(attributes ?? {})) {
    if (reserved.has(name)) {
      throw new ContractError(
        'ATTRIBUTE_RESERVED',
        `Attribute "${name}" is set by Trunkline or by CloudEvents itself. Choose another name, or use the option made for it.`,
        { attribute: name },
      )
    }
  }
  const rest = {
    ...(attributes === undefined ? {} : { attributes }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(notBefore === undefined ? {} : { notBefore }),
  }
  const messages: readonly Outgoing[] = isList(message) ? message : [message]
  return messages.map((each) => ({ message: each, ...rest }))
}

function isList(message: Outgoing | readonly Outgoing[]): message is readonly Outgoing[] {
  return Array.isArray(message)
}

import type { ConsumedRecord } from '../broker/log-consumer.ts'
import type { TopicPartition } from '../broker/log-producer.ts'
import { SubscriptionRegistry } from '../consume/registry.ts'
import { routeRecord } from '../consume/route.ts'
import type { ContractCatalogue } from '../contract/catalogue.ts'
import type { Message } from '../contract/contract.ts'
import { schemaIdIn } from '../envelope/framing.ts'

/** Whether a kept record can be read with the contracts at hand. */
export type Readable =
  | { readonly verdict: 'yes'; readonly message: Message }
  | { readonly verdict: 'no'; readonly reason: string }
  /** Its schema stands in a registry, which is not asked here. */
  | { readonly verdict: 'ask the registry'; readonly reason: string }

/** Says of kept records whether today's contracts can read them, as a consumer with a handler for each would. */
export class Reader {
  readonly #subscriptions: ReturnType<SubscriptionRegistry<object>['groups']>[number]['subscriptions']

  constructor(catalogue: ContractCatalogue) {
    const registry = new SubscriptionRegistry<object>(Number.MAX_SAFE_INTEGER)
    registry.add('reader', catalogue.contracts(), async () => undefined)
    this.#subscriptions = registry.groups()[0]?.subscriptions ?? new Map()
  }

  /** It never throws, whatever the bytes are. */
  read(record: ConsumedRecord, place: TopicPartition): Readable {
    const routed = routeRecord(record, place, { subscriptions: this.#subscriptions })
    if (routed.kind === 'message') return { verdict: 'yes', message: routed.message }
    const schemaId = schemaIdIn(record.value)
    if (schemaId !== undefined) return { verdict: 'ask the registry', reason: `its schema is ${schemaId} of a registry` }
    if (routed.kind === 'unhandled') return { verdict: 'no', reason: `no schema of ${routed.name} is in the folder` }
    return { verdict: 'no', reason: routed.kind === 'schema needed' ? `it needs schema ${routed.schemaId}` : routed.reason }
  }
}

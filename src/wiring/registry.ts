import { RegistryClient } from '../adapters/registry/registry-client.ts'
import type { ParsedOptions } from '../config.ts'
import { type AnyContract, typeOf } from '../core/contract/contract.ts'
import type { SchemaRegistry } from '../core/contract/registry.ts'
import { SchemaIds } from '../core/contract/schema-ids.ts'
import { WriterSchemas } from '../core/contract/writer-schemas.ts'
import type { BackboneDiagnostics } from '../core/diagnostics.ts'
import type { Clock } from '../foundation/clock.ts'
import { messageOf } from '../foundation/errors.ts'

/** Both directions of a registry: the ids to write with, and the schemas behind the ids that are read. */
export interface RegistryParts {
  readonly schemaIds?: SchemaIds | undefined
  readonly writerSchemas?: WriterSchemas | undefined
}

/** Builds what knows the registry's schemas; nobody is asked before it is used. @returns nothing where none is configured */
export function buildRegistry(options: ParsedOptions, parts: { readonly clock: Clock }): RegistryParts {
  if (options.registry === undefined) return {}
  const registry = clientOf(options.registry, parts)
  const { subjects } = options.registry
  return {
    schemaIds: new SchemaIds({ registry, clock: parts.clock }, { subjects, topicPrefix: options.kafka.prefix }),
    writerSchemas: new WriterSchemas({ registry, clock: parts.clock }),
  }
}

/**
 * Asks for the ids of what a service is known to publish, before the first message and outside of every transaction:
 * its sagas' commands and its handlers' replies. Events are asked for when the first of them is published.
 *
 * It never fails: a registry that does not answer now may do so when it is needed.
 */
export async function askForIds(
  parts: RegistryParts & { readonly diagnostics: BackboneDiagnostics },
  contracts: readonly AnyContract[],
): Promise<void> {
  const { schemaIds, diagnostics } = parts
  if (schemaIds === undefined) return
  // The spine's own replies go to the topic of another's, which only a message tells.
  const definitions = contracts.map(({ definition }) => definition).filter(({ topic }) => topic !== '')
  await Promise.all(
    definitions.map(async (definition) => {
      await schemaIds.load(definition, definition.topic).catch((error: unknown) => {
        diagnostics.emit('registry.unanswered', { type: typeOf(definition.name, definition.version), reason: messageOf(error) })
      })
    }),
  )
}

function clientOf(options: NonNullable<ParsedOptions['registry']>, parts: { readonly clock: Clock }): SchemaRegistry {
  if ('client' in options) return options.client
  return new RegistryClient(parts, { url: options.url, auth: options.auth, timeoutMs: options.timeout })
}

import { ConfigurationError } from '../../foundation/errors.ts'
import { type AnyContract, type ContractDefinition, type ContractVersion, contract } from './contract.ts'
import { loadSchemas, type SchemaFile } from './schema-files.ts'

/** A contract, and the version that a message on the wire says it has. */
export interface CatalogueEntry {
  readonly contract: AnyContract
  readonly version: number
}

/** All contracts of a program: what was subscribed and published, or what stands in a folder of schemas. */
export class ContractCatalogue {
  readonly #contracts = new Map<string, AnyContract>()

  /**
   * Adds a contract; again is fine. Of two versions of one message the higher stays.
   *
   * @throws ConfigurationError `CONTRACT_CONFLICT`: the same name with another topic, key or other schemas
   */
  add(added: AnyContract): void {
    const { definition } = added
    const known = this.#contracts.get(definition.name)
    if (known !== undefined) refuseConflict(known.definition, definition)
    if (known === undefined || known.definition.version < definition.version) this.#contracts.set(definition.name, added)
  }

  byName(name: string): AnyContract | undefined {
    return this.#contracts.get(name)
  }

  /**
   * Finds the contract of a type as it travels, `shop.orders.OrderPlaced.v1`. The version may be one that this
   * program does not have: whoever handles a name handles all its versions.
   */
  byType(type: string): CatalogueEntry | undefined {
    const at = type.lastIndexOf('.v')
    const version = Number(type.slice(at + 2))
    const found = at < 0 ? undefined : this.#contracts.get(type.slice(0, at))
    return found === undefined || !Number.isInteger(version) || version < 1 ? undefined : { contract: found, version }
  }

  contracts(): readonly AnyContract[] {
    return [...this.#contracts.values()]
  }

  /** @returns every topic once, sorted; built-in replies go to the topic of their command and have none */
  topics(): readonly string[] {
    const topics = new Set(this.contracts().map((each) => each.definition.topic))
    topics.delete('')
    return [...topics].sort()
  }
}

/**
 * The catalogue of a folder of schema files.
 *
 * @throws ConfigurationError as {@link loadSchemas}
 */
export function loadCatalogue(dir: string): ContractCatalogue {
  const files = loadSchemas(dir)
  const catalogue = new ContractCatalogue()
  for (const file of files) {
    if (file.routing === null) continue
    const replyContracts = repliesIn(catalogue, file.routing.replies)
    catalogue.add(
      contract({ name: file.name, version: file.version, ...file.routing, replyContracts, versions: versionsOf(file.name, files) }),
    )
  }
  return catalogue
}

function versionsOf(name: string, files: readonly SchemaFile[]): ContractVersion[] {
  const versions = files.filter((file) => file.name === name)
  return versions.map(({ version, fingerprint, schema }) => ({ version, fingerprint, schema }))
}

function repliesIn(catalogue: ContractCatalogue, names: readonly string[]): () => readonly AnyContract[] {
  return () => names.flatMap((name) => catalogue.byName(name) ?? [])
}

function refuseConflict(known: ContractDefinition, added: ContractDefinition): void {
  const attribute = (['kind', 'topic', 'key'] as const).find((each) => known[each] !== added[each])
  const same = known.versions.map((each) => each.fingerprint).join() === added.versions.map((each) => each.fingerprint).join()
  if (attribute === undefined && same) return
  const difference =
    attribute === undefined
      ? `schemas (${known.versions.length} and ${added.versions.length} versions)`
      : `${attribute} (${JSON.stringify(known[attribute])} and ${JSON.stringify(added[attribute])})`
  throw new ConfigurationError(
    'CONTRACT_CONFLICT',
    `There are two contracts named ${added.name}, which differ in their ${difference}. Generate both from the same schema files, or import one of them everywhere.`,
    { name: added.name },
  )
}

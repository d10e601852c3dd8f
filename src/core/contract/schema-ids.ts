import type { Clock } from '../../foundation/clock.ts'
import { ConfigurationError, isTrunklineError, TransientError } from '../../foundation/errors.ts'
import { registryPrefix, SCHEMA_ID_MAX } from '../envelope/framing.ts'
import { versionOf } from './conform.ts'
import { type ContractDefinition, type ContractVersion, typeOf } from './contract.ts'
import { askRegistry, isRegistryError, type RegistrySchema, type SchemaRegistry, type SubjectStrategy, subjectOf } from './registry.ts'

/** While the registry does not answer, it is asked no more often than this: each question may hold a transaction open. */
const FAILURE_MS = 1_000

export interface SchemaIdsOptions {
  readonly subjects: SubjectStrategy
  /** Stands before the names of topics in the cluster, and so in subjects. */
  readonly topicPrefix: string
}

/** What is known of one contract's schema on one topic. */
interface Known {
  prefix?: Buffer
  asked?: Promise<Buffer>
  failure?: { readonly error: unknown; readonly until: number }
}

/**
 * The ids by which a registry knows the schemas that this program writes with.
 *
 * An id is asked for once in the life of a process, by the first message of its contract; after that publishing
 * does not need the registry. What the registry has is only looked up, so that a service may run with a login that
 * cannot write; what it lacks is registered, older versions first.
 */
export class SchemaIds {
  readonly #registry: SchemaRegistry
  readonly #clock: Clock
  readonly #options: SchemaIdsOptions
  /** By contract, then by topic: only the spine's own replies travel on more than one. */
  readonly #known = new WeakMap<ContractDefinition, Map<string, Known>>()

  constructor(parts: { readonly registry: SchemaRegistry; readonly clock: Clock }, options: SchemaIdsOptions) {
    this.#registry = parts.registry
    this.#clock = parts.clock
    this.#options = options
  }

  /** @returns what stands before a value of the contract; `undefined` until {@link load} was answered */
  prefixOf(definition: ContractDefinition, topic: string): Buffer | undefined {
    return this.#known.get(definition)?.get(topic)?.prefix
  }

  /**
   * Asks the registry; several at once ask once.
   *
   * @returns what stands before a value of the contract
   * @throws TransientError, ConfigurationError `REGISTRY_…`: the id is not known, so the message cannot be written
   */
  async load(definition: ContractDefinition, topic: string): Promise<Buffer> {
    const known = this.#knownOf(definition, topic)
    if (known.prefix !== undefined) return known.prefix
    if (known.failure !== undefined && this.#clock.monotonic() < known.failure.until) throw known.failure.error
    known.asked ??= this.#ask(definition, topic, known).finally(() => {
      delete known.asked
    })
    return known.asked
  }

  #knownOf(definition: ContractDefinition, topic: string): Known {
    let topics = this.#known.get(definition)
    if (topics === undefined) {
      topics = new Map()
      this.#known.set(definition, topics)
    }
    let known = topics.get(topic)
    if (known === undefined) {
      known = {}
      topics.set(topic, known)
    }
    return known
  }

  async #ask(definition: ContractDefinition, topic: string, known: Known): Promise<Buffer> {
    const subject = subjectOf(this.#options.subjects, this.#options.topicPrefix + topic, definition.name)
    try {
      const id = (await this.#find(subject, versionOf(definition))) ?? (await this.#register(subject, definition))
      known.prefix = registryPrefix(checkedId(id, subject))
      delete known.failure
      return known.prefix
    } catch (error) {
      const failure = explained(error, definition, subject)
      known.failure = { error: failure, until: this.#clock.monotonic() + FAILURE_MS }
      throw failure
    }
  }

  async #find(subject: string, version: ContractVersion): Promise<number | undefined> {
    const registry = this.#registry
    if (registry.find === undefined) return undefined
    return askRegistry(this.#clock, `the id of "${subject}"`, async () => registry.find?.(subject, registrySchemaOf(version)))
  }

  /** A registry checks each version against those before it, so they come in order. */
  async #register(subject: string, definition: ContractDefinition): Promise<number> {
    const versions = definition.versions.filter((each) => each.version <= definition.version).toSorted((a, b) => a.version - b.version)
    let id = Number.NaN
    for (const version of versions) {
      const what = `the registration of ${typeOf(definition.name, version.version)}`
      id = await askRegistry(this.#clock, what, () => this.#registry.register(subject, registrySchemaOf(version)))
    }
    return id
  }
}

/** The text under which a version is registered: the same from the command line and from a running service. */
export function registrySchemaOf(version: Pick<ContractVersion, 'schema'>): RegistrySchema {
  return { schema: JSON.stringify(version.schema) }
}

function checkedId(id: number, subject: string): number {
  if (Number.isInteger(id) && id >= 0 && id <= SCHEMA_ID_MAX) return id
  throw new TransientError(
    'REGISTRY_UNAVAILABLE',
    `The schema registry's client gave "${String(id)}" as the id of "${subject}", which is no id.`,
  )
}

/** Says what could not be done because of it, and how to need the registry less. */
function explained(error: unknown, definition: ContractDefinition, subject: string): unknown {
  if (!isTrunklineError(error) || !isRegistryError(error)) return error
  const type = typeOf(definition.name, definition.version)
  const message = `${type} cannot be published, because its schema has no id yet (subject "${subject}"). ${error.message} "trunkline schema register" registers every version.`
  const details = { ...error.details, type, subject }
  if (error instanceof ConfigurationError) return new ConfigurationError(error.code, message, details, error)
  return new TransientError(error.code, message, details, error)
}

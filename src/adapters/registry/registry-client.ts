import { z } from 'zod'
import type { RegistrySchema, SchemaReference, SchemaRegistry } from '../../core/contract/registry.ts'
import type { Clock } from '../../foundation/clock.ts'
import { ContractError } from '../../foundation/errors.ts'
import { type RegistryAuth, RegistryRequests } from './registry-requests.ts'

/** More references than any schema that was meant: a registry could name them in circles. */
const REFERENCES_MAX = 200

const references = z.array(z.object({ name: z.string(), subject: z.string(), version: z.int() })).nullish()
const registered = z.object({ id: z.int().nonnegative() })
const stored = z.object({ schema: z.string(), schemaType: z.string().nullish(), references })
const versioned = stored.extend({ subject: z.string(), version: z.int(), id: z.int() })
const compatible = z.object({ is_compatible: z.boolean(), messages: z.array(z.string()).nullish() })
const level = z.union([
  z.object({ compatibilityLevel: z.string() }).transform((answer) => answer.compatibilityLevel),
  z.object({ compatibility: z.string() }).transform((answer) => answer.compatibility),
])
const mode = z.object({ mode: z.string() })

/** One version of a subject. */
export interface SubjectVersion extends RegistrySchema {
  readonly subject: string
  readonly version: number
  readonly id: number
}

export interface Compatibility {
  readonly compatible: boolean
  /** The registry's reasons; some give none. */
  readonly messages: readonly string[]
}

export interface RegistryClientOptions {
  /** The root of the Confluent API: `http://localhost:8081`. A user and password in it are sent as basic auth. */
  readonly url: string
  readonly auth?: RegistryAuth | undefined
  /** How long one question may take, repetitions included. */
  readonly timeoutMs: number
}

/**
 * Talks to a schema registry: Confluent's API, which Apicurio and Karapace speak too.
 *
 * Each method asks once more after an answer of 5xx or 429 or a lost connection, until its time is over; every
 * question may be asked twice without harm. It keeps nothing: `WriterSchemas` and `SchemaIds` do.
 *
 * All methods throw TransientError `REGISTRY_UNAVAILABLE` (nobody answered, or nonsense) or a ConfigurationError
 * whose code begins with `REGISTRY_` (a wrong address, a password, a schema that the registry refuses).
 *
 * @see https://docs.confluent.io/platform/current/schema-registry/develop/api.html
 */
export class RegistryClient implements SchemaRegistry {
  readonly #requests: RegistryRequests

  constructor(parts: { readonly clock: Clock }, options: RegistryClientOptions) {
    this.#requests = new RegistryRequests(parts, options)
  }

  /** Where it is, without user and password. */
  get address(): string {
    return this.#requests.address
  }

  /** Follows its references too. */
  async getById(id: number, signal?: AbortSignal): Promise<RegistrySchema | undefined> {
    const found = await this.#requests.ask(stored, 'GET', `/schemas/ids/${id}`, { signal })
    return found === undefined ? undefined : this.#withReferenced(schemaOf(found), signal)
  }

  /** @param guid as header-mode values name it @returns `undefined` also from registries that know no GUIDs */
  async getByGuid(guid: string): Promise<RegistrySchema | undefined> {
    const found = await this.#requests.ask(stored, 'GET', `/schemas/guids/${encodeURIComponent(guid)}`, { missingIsNotFound: true })
    return found === undefined ? undefined : this.#withReferenced(schemaOf(found), undefined)
  }

  async register(subject: string, schema: RegistrySchema): Promise<number> {
    const path = `/subjects/${encodeURIComponent(subject)}/versions?normalize=true`
    return (await this.#requests.demand(registered, 'POST', path, bodyOf(schema))).id
  }

  async find(subject: string, schema: RegistrySchema): Promise<number | undefined> {
    const path = `/subjects/${encodeURIComponent(subject)}?normalize=true`
    return (await this.#requests.ask(registered, 'POST', path, { body: bodyOf(schema) }))?.id
  }

  /** @returns the versions of a subject, ascending; empty when the registry does not know it */
  async versions(subject: string): Promise<readonly number[]> {
    const found = await this.#requests.ask(z.array(z.int()), 'GET', `/subjects/${encodeURIComponent(subject)}/versions`)
    return (found ?? []).toSorted((a, b) => a - b)
  }

  /** @returns `undefined` when the subject or the version is not there */
  async version(subject: string, version: number | 'latest', signal?: AbortSignal): Promise<SubjectVersion | undefined> {
    const path = `/subjects/${encodeURIComponent(subject)}/versions/${version}`
    const found = await this.#requests.ask(versioned, 'GET', path, { signal })
    return found === undefined ? undefined : { ...schemaOf(found), subject: found.subject, version: found.version, id: found.id }
  }

  /** @returns the ids of the schemas that refer to this version; empty when none does */
  async referencedBy(subject: string, version: number): Promise<readonly number[]> {
    const path = `/subjects/${encodeURIComponent(subject)}/versions/${version}/referencedby`
    return (await this.#requests.ask(z.array(z.int()), 'GET', path)) ?? []
  }

  /**
   * Whether the registry would take the schema after the versions it has.
   *
   * @param against all of them, as the `_TRANSITIVE` levels ask, or one
   * @returns compatible, too, when the subject is not there yet
   */
  async checkCompatibility(subject: string, schema: RegistrySchema, against: number | 'latest' | 'all' = 'all'): Promise<Compatibility> {
    const which = against === 'all' ? '' : `/${against}`
    const path = `/compatibility/subjects/${encodeURIComponent(subject)}/versions${which}?verbose=true`
    const answer = await this.#requests.ask(compatible, 'POST', path, { body: bodyOf(schema) })
    return { compatible: answer?.is_compatible ?? true, messages: answer?.messages ?? [] }
  }

  /** @returns the subject's level, or the registry's own for a subject without one; `undefined` when neither is set */
  async compatibilityLevel(subject?: string): Promise<string | undefined> {
    return this.#requests.ask(level, 'GET', `/config${below(subject)}${subject === undefined ? '' : '?defaultToGlobal=true'}`)
  }

  async setCompatibilityLevel(compatibility: string, subject?: string): Promise<void> {
    await this.#requests.demand(level, 'PUT', `/config${below(subject)}`, { compatibility })
  }

  /** @returns `READWRITE`, `READONLY`, `IMPORT` or `FORWARD`; `undefined` when the subject has none of its own */
  async mode(subject?: string): Promise<string | undefined> {
    return (await this.#requests.ask(mode, 'GET', `/mode${below(subject)}`))?.mode
  }

  async setMode(to: string, subject?: string): Promise<void> {
    await this.#requests.demand(mode, 'PUT', `/mode${below(subject)}`, { mode: to })
  }

  /** Each referenced schema once, however many refer to it. */
  async #withReferenced(schema: RegistrySchema, signal: AbortSignal | undefined): Promise<RegistrySchema> {
    const waiting = [...(schema.references ?? [])]
    if (waiting.length === 0) return schema
    const referenced = new Map<string, string>()
    const all: SchemaReference[] = []
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (referenced.has(next.name)) continue
      if (referenced.size === REFERENCES_MAX) throw unusable(`it refers to more than ${REFERENCES_MAX} others`)
      const found = await this.version(next.subject, next.version, signal)
      if (found === undefined) throw unusable(`it refers to version ${next.version} of "${next.subject}", which the registry does not have`)
      referenced.set(next.name, found.schema)
      all.push(next)
      waiting.push(...(found.references ?? []))
    }
    return { ...schema, references: all, referenced: Object.fromEntries(referenced) }
  }
}

function below(subject: string | undefined): string {
  return subject === undefined ? '' : `/${encodeURIComponent(subject)}`
}

function bodyOf({ schema, schemaType, references: refers }: RegistrySchema): Record<string, unknown> {
  return {
    schema,
    ...(schemaType === undefined || schemaType === 'AVRO' ? {} : { schemaType }),
    ...(refers === undefined || refers.length === 0 ? {} : { references: refers }),
  }
}

function schemaOf(answer: z.output<typeof stored>): RegistrySchema {
  const { schema, schemaType, references: refers } = answer
  return {
    schema,
    ...(typeof schemaType === 'string' ? { schemaType } : {}),
    ...(Array.isArray(refers) && refers.length > 0 ? { references: refers } : {}),
  }
}

function unusable(problem: string): ContractError {
  return new ContractError('SCHEMA_UNUSABLE', `A schema of the registry cannot be used: ${problem}. Register what is missing.`)
}

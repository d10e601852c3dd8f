import type { Clock } from '../../foundation/clock.ts'
import { ContractError, messageOf } from '../../foundation/errors.ts'
import { type AvroNamed, isNamed, toSchema } from './avro.ts'
import { fingerprintOf } from './codec.ts'
import { askRegistry, type RegistrySchema, type SchemaRegistry, type WriterSchema } from './registry.ts'
import { parseSchema } from './schema-parser.ts'
import { writerForm } from './writer-form.ts'

/** Schemas that are kept; what was not used longest goes first. */
const SCHEMAS_MAX = 1_000
/** How long "there is no such schema" is believed: long enough to spare the registry, short enough to notice a registration. */
const NEGATIVE_MS = 10_000
const SCHEMA_CHARACTERS_MAX = 1024 * 1024

type Answer = { readonly writer: WriterSchema } | { readonly error: ContractError; readonly until: number }

/**
 * The schemas that other programs wrote with, by their registry's ids.
 *
 * What is known stays known whatever the registry does: reading it needs no answer and does not wait.
 */
export class WriterSchemas {
  readonly #registry: SchemaRegistry
  readonly #clock: Clock
  readonly #answers = new Map<number, Answer>()
  readonly #asked = new Map<number, Promise<void>>()

  constructor(parts: { readonly registry: SchemaRegistry; readonly clock: Clock }) {
    this.#registry = parts.registry
    this.#clock = parts.clock
  }

  /**
   * @returns the schema; `undefined` when the registry must be asked first, by {@link load}
   * @throws ContractError `SCHEMA_UNKNOWN`: the registry answered a moment ago that it has none ·
   *   `SCHEMA_UNUSABLE`: it has one that cannot be read with
   */
  get(id: number): WriterSchema | undefined {
    const answer = this.#answers.get(id)
    if (answer === undefined) return undefined
    if ('error' in answer) {
      if (this.#clock.monotonic() < answer.until) throw answer.error
      this.#answers.delete(id)
      return undefined
    }
    // A Map keeps the order of insertion: the first is what was not used longest.
    this.#answers.delete(id)
    this.#answers.set(id, answer)
    return answer.writer
  }

  /**
   * Asks the registry; several at once ask once.
   *
   * @throws TransientError, ConfigurationError `REGISTRY_…`: there was no answer, and nothing is known
   */
  async load(id: number): Promise<void> {
    let asked = this.#asked.get(id)
    if (asked === undefined) {
      asked = this.#ask(id).finally(() => this.#asked.delete(id))
      this.#asked.set(id, asked)
    }
    await asked
  }

  async #ask(id: number): Promise<void> {
    const answer = await this.#answerOf(id)
    const oldest = this.#answers.keys().next()
    if (this.#answers.size >= SCHEMAS_MAX && oldest.done !== true) this.#answers.delete(oldest.value)
    this.#answers.set(id, answer)
  }

  async #answerOf(id: number): Promise<Answer> {
    try {
      const found = await askRegistry(this.#clock, `schema ${id}`, (signal) => this.#registry.getById(id, signal))
      if (found !== undefined) return { writer: understood(id, found) }
      return this.#negative(unknown(id))
    } catch (error) {
      if (error instanceof ContractError) return this.#negative(error)
      throw error
    }
  }

  #negative(error: ContractError): Answer {
    return { error, until: this.#clock.monotonic() + NEGATIVE_MS }
  }
}

function understood(id: number, { schema, schemaType, referenced = {} }: RegistrySchema): WriterSchema {
  if (schemaType !== undefined && schemaType !== 'AVRO') throw unusable(id, `it is ${schemaType.slice(0, 20)}, and only Avro is read here`)
  try {
    const type = new Linker(id, referenced).parse(schema)
    if (type.kind !== 'record') throw unusable(id, `a message is a record, and this is ${type.kind}`)
    const own = toSchema(type, `schema ${id}`)
    return { id, name: type.name, schema: own, fingerprint: fingerprintOf(own) }
  } catch (error) {
    if (error instanceof ContractError) throw error
    throw unusable(id, messageOf(error), error)
  }
}

/** Parses a schema with those that it refers to. */
class Linker {
  readonly #id: number
  readonly #referenced: Readonly<Record<string, string>>
  readonly #types = new Map<string, AvroNamed>()
  readonly #open = new Set<string>()

  constructor(id: number, referenced: Readonly<Record<string, string>>) {
    this.#id = id
    this.#referenced = referenced
  }

  parse(text: string): AvroNamed {
    if (text.length > SCHEMA_CHARACTERS_MAX) throw unusable(this.#id, `it has more than ${SCHEMA_CHARACTERS_MAX} characters`)
    const json: unknown = JSON.parse(text)
    const type = parseSchema(writerForm(json), { where: `schema ${this.#id}`, resolve: (name) => this.#resolve(name), owns: () => false })
    if (!isNamed(type)) throw unusable(this.#id, `it is of type ${type.kind}, which has no name`)
    return type
  }

  #resolve(name: string): AvroNamed | undefined {
    const known = this.#types.get(name)
    if (known !== undefined || !Object.hasOwn(this.#referenced, name)) return known
    if (this.#open.has(name)) throw unusable(this.#id, `"${name}" refers to itself through another schema`)
    this.#open.add(name)
    const type = this.parse(this.#referenced[name] ?? '')
    this.#open.delete(name)
    this.#types.set(name, type)
    return type
  }
}

function unknown(id: number): ContractError {
  return new ContractError(
    'SCHEMA_UNKNOWN',
    `A value was written with schema ${id}, which the registry does not have. Register it again there, or read the topic with the registry that its producer uses.`,
    { schemaId: id },
  )
}

function unusable(id: number, problem: string, cause?: unknown): ContractError {
  return new ContractError(
    'SCHEMA_UNUSABLE',
    `A value was written with schema ${id} of the registry, which cannot be read with: ${problem}. Its producer must register a schema that can.`,
    { schemaId: id },
    cause,
  )
}

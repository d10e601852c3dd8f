import type { Clock } from '../../foundation/clock.ts'
import { ContractError, isTrunklineError, messageOf, TransientError } from '../../foundation/errors.ts'
import type { AvroSchema } from './avro.ts'

/** Another schema that a schema refers to by its full name, and where the registry keeps it. */
export interface SchemaReference {
  readonly name: string
  readonly subject: string
  readonly version: number
}

/** A schema as a registry keeps it. */
export interface RegistrySchema {
  /** The schema's JSON. */
  readonly schema: string
  /** `AVRO` where it is left out, as registries do. */
  readonly schemaType?: string
  /** The schemas that it refers to: those that it names itself, or, from a client that follows them, all of them. */
  readonly references?: readonly SchemaReference[]
  /** By full name, the JSON of every schema in `references`, and of those that these refer to. */
  readonly referenced?: Readonly<Record<string, string>>
}

/**
 * A schema registry: any object with these methods will do.
 *
 * A rejection means that the registry could not be asked, or would not answer: whoever needed the answer waits
 * and asks again. What the registry does not have is an answer, not a rejection.
 */
export interface SchemaRegistry {
  /** @returns the schema of an id; `undefined` when the registry says that it has none */
  getById(id: number, signal?: AbortSignal): Promise<RegistrySchema | undefined>

  /** Registers a schema, or finds it where it is registered already. @returns its id */
  register(subject: string, schema: RegistrySchema): Promise<number>

  /**
   * Looks a schema up without registering it. With it, a service that may only read can publish what CI registered.
   *
   * @returns its id; `undefined` when the subject does not have it
   */
  find?(subject: string, schema: RegistrySchema): Promise<number | undefined>
}

/** The schema that an id in a value stands for. */
export interface WriterSchema {
  readonly id: number
  /** The full name of its record. */
  readonly name: string
  /** Refers to nothing outside itself. */
  readonly schema: AvroSchema
  readonly fingerprint: string
}

/**
 * Under which subject a schema is registered, in Confluent's names.
 *
 * - `TopicRecordName`: `<topic>-<full name>`, for several message types on one topic.
 * - `TopicName`: `<topic>-value`, one type a topic; ksqlDB and Kafka Connect assume it.
 * - `RecordName`: `<full name>`, one history of a type for all topics.
 */
export type SubjectStrategy = 'TopicRecordName' | 'TopicName' | 'RecordName'

/** @param topic as it is called in the cluster, with its prefix */
export function subjectOf(strategy: SubjectStrategy, topic: string, name: string): string {
  switch (strategy) {
    case 'TopicRecordName':
      return `${topic}-${name}`
    case 'TopicName':
      return `${topic}-value`
    case 'RecordName':
      return name
  }
}

/** Whether the registry is to blame, and not the message: whoever needed it waits, and spends no attempt. */
export function isRegistryError(error: unknown): boolean {
  return isTrunklineError(error) && error.code.startsWith('REGISTRY_')
}

/** Longer than any client's own limit, for a client that has none. */
const ANSWER_MS_MAX = 30_000

/**
 * Asks any client, and tells its answers from its failures.
 *
 * @throws what the client threw, where it is ours · TransientError `REGISTRY_UNAVAILABLE`: anything else, or no answer in time
 */
export async function askRegistry<Answer>(clock: Clock, what: string, ask: (signal: AbortSignal) => Promise<Answer>): Promise<Answer> {
  const done = new AbortController()
  const deadline = clock.sleep(ANSWER_MS_MAX, done.signal).then(() => {
    throw new TransientError(
      'REGISTRY_UNAVAILABLE',
      `The schema registry was asked for ${what} and did not answer within ${ANSWER_MS_MAX} ms.`,
    )
  })
  // When the answer comes first, nobody is left to hear of the deadline.
  deadline.catch(() => undefined)
  try {
    return await Promise.race([ask(done.signal), deadline])
  } catch (error) {
    if (error instanceof ContractError || isRegistryError(error)) throw error
    const message = `The schema registry was asked for ${what} and its client failed: ${messageOf(error)}. Is the registry running?`
    throw new TransientError('REGISTRY_UNAVAILABLE', message, {}, error)
  } finally {
    done.abort()
  }
}

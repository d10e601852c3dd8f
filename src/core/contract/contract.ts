import type { AvroSchema } from './avro.ts'
import { conform, fieldOf } from './conform.ts'

// What generated code is written in.
export { z } from 'zod'
export { requireFormat } from './generated-format.ts'
export { avro } from './zod-types.ts'

/** What happened, please do, or the answer to a command. */
export type MessageKind = 'event' | 'command' | 'reply'

/** One version of a contract's Avro schema, as released: it never changes. */
export interface ContractVersion {
  /** The N of `<Name>.v<N>.avsc` and of the type. */
  readonly version: number
  /** CRC-64-AVRO of the schema's canonical form: 16 hexadecimal digits, most significant first. */
  readonly fingerprint: string
  /** Self-contained: every referenced schema is inlined where it is used first. */
  readonly schema: AvroSchema
}

/** Everything about a message type that the running program needs. */
export interface ContractDefinition {
  readonly kind: MessageKind
  /** The Avro full name, without a version: `shop.orders.OrderPlaced`. */
  readonly name: string
  /** The version that this constructor makes and that handlers receive. */
  readonly version: number
  readonly topic: string
  /** The field whose text is the record's key; `null` for messages without one. */
  readonly key: string | null
  /** For a command, the full names of its possible replies. */
  readonly replies: readonly string[]
  /** For a command, the contracts of `replies`: its sender must be able to read the answer. Called late: contracts refer to each other. */
  readonly replyContracts?: () => readonly AnyContract[]
  /** Every released version, so that older and newer writers can be read. */
  readonly versions: readonly ContractVersion[]
  /** By rising version; set by `upcast`, never by generated code. */
  readonly upcasters?: readonly Upcaster[]
}

/** Makes data of the definition's own version from what an older one says, where Avro's rules cannot. */
export interface Upcaster {
  /** What was written in this version, or in one before it, is read as this version and then converted. */
  readonly from: ContractDefinition
  readonly convert: (data: unknown) => unknown
}

/** A message that was checked against its contract and not yet published. */
export interface Outgoing<Name extends string = string, Data = unknown> {
  readonly name: Name
  readonly data: Data
  readonly definition: ContractDefinition
}

/** A message as a handler receives it. */
export interface Message<Name extends string = string, Data = unknown> {
  readonly name: Name
  /** With the version it was written in: `shop.orders.OrderPlaced.v1`. */
  readonly type: string
  readonly id: string
  /** Who published it: `/<service>`. */
  readonly source: string
  readonly time: Date
  readonly key: string | null
  readonly correlationId: string
  readonly causationId: string | null
  /** CloudEvents extensions that the publisher set. */
  readonly attributes: Readonly<Record<string, string>>
  /** In the version that was subscribed. */
  readonly data: Data
}

/** What a contract says to the type checker. */
export interface ContractTypes {
  readonly kind: MessageKind
  readonly name: string
  /** What the constructor takes: fields with a default may be left out. */
  readonly input: unknown
  readonly data: unknown
  /** What a handler returns: `void` for events and replies. */
  readonly reply: unknown
}

/**
 * A message type: call it to make a message.
 *
 * @throws ContractError `CONTRACT_VIOLATED` with the path of the value that does not fit; nothing was made
 */
export interface Contract<Types extends ContractTypes> {
  (input: Types['input']): Outgoing<Types['name'], Types['data']>
  readonly definition: ContractDefinition
  /** For the type checker only (`typeof OrderPlaced['message']`); it has no value. */
  readonly message: Message<Types['name'], Types['data']>
  /** For the type checker only; it has no value. */
  readonly reply: Types['reply']
}

/** Any contract, whatever its types. */
export interface AnyContract {
  (input: never): Outgoing
  readonly definition: ContractDefinition
  readonly message: Message
  readonly reply: unknown
}

/** The type of a version of a message on the wire: `shop.orders.OrderPlaced.v1`. */
export function typeOf(name: string, version: number): string {
  return `${name}.v${version}`
}

/**
 * Makes the constructor of a message type. Generated code calls it; nothing is compiled before the first message.
 */
export function contract<Types extends ContractTypes>(definition: ContractDefinition): Contract<Types> {
  const frozen = freeze(definition)
  const make = (input: unknown): Outgoing => ({ name: frozen.name, data: conform(frozen, input), definition: frozen })
  Object.defineProperty(make, 'name', { value: frozen.name.slice(frozen.name.lastIndexOf('.') + 1) })
  // The types come from the generator, which read the same schema; here they are only attached.
  return Object.freeze(Object.assign(make, { definition: frozen })) as unknown as Contract<Types>
}

/** @returns the text by which a message is put in order; `null` for messages without a key */
export function keyOf(definition: ContractDefinition, data: unknown): string | null {
  return definition.key === null ? null : String(fieldOf(data, definition.key))
}

function freeze(definition: ContractDefinition): ContractDefinition {
  for (const version of definition.versions) Object.freeze(version)
  Object.freeze(definition.versions)
  Object.freeze(definition.replies)
  return Object.freeze({ ...definition })
}

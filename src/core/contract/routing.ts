import { nearest } from '../../foundation/options.ts'
import { type AvroNamed, isJsonObject, schemaError } from './avro.ts'
import type { MessageKind } from './contract.ts'
import { isKeyType } from './look.ts'

/** Where a message goes: the "trunkline" attribute of its schema, which Avro ignores. */
export interface Routing {
  readonly kind: MessageKind
  readonly topic: string
  readonly key: string | null
  readonly replies: readonly string[]
}

/** A schema file, as far as its routing goes. */
export interface RoutedFile {
  readonly file: string
  readonly name: string
  readonly version: number
  /** `null`: no message, but a type that messages refer to. */
  readonly routing: Routing | null
}

const KINDS: readonly MessageKind[] = ['event', 'command', 'reply']
const ATTRIBUTES = ['kind', 'topic', 'key', 'replies']
const TOPIC = /^[A-Za-z0-9._-]{1,249}$/

/** @throws ConfigurationError `SCHEMA_INVALID` */
export function parseRouting(attribute: unknown, type: AvroNamed, file: string): Routing | null {
  if (attribute === undefined) return null
  const at = '/trunkline'
  if (!isJsonObject(attribute)) throw schemaError(file, at, 'this is an object: {"kind": "event", "topic": "orders", "key": "orderId"}.')
  if (type.kind !== 'record')
    throw schemaError(file, '/type', `a message is a record, this is ${type.kind}. Put it into a field of a record.`)
  for (const name of Object.keys(attribute)) {
    if (ATTRIBUTES.includes(name)) continue
    throw schemaError(
      file,
      `${at}/${name}`,
      `"${name}" is not known here (did you mean "${nearest(name, ATTRIBUTES) ?? ATTRIBUTES.join('", "')}"?). Correct or remove it.`,
    )
  }
  const kind = KINDS.find((each) => each === attribute['kind'])
  if (kind === undefined)
    throw schemaError(file, `${at}/kind`, `a message is an "event", a "command" or a "reply", not ${JSON.stringify(attribute['kind'])}.`)
  return {
    kind,
    topic: topicOf(attribute['topic'], file),
    key: keyIn(attribute['key'], type, file),
    replies: repliesOf(attribute['replies'], kind, file),
  }
}

function topicOf(topic: unknown, file: string): string {
  if (typeof topic === 'string' && TOPIC.test(topic) && topic !== '.' && topic !== '..') return topic
  throw schemaError(file, '/trunkline/topic', `a topic is 1 to 249 letters, digits, ".", "_" and "-", not ${JSON.stringify(topic)}.`)
}

function keyIn(key: unknown, type: AvroNamed, file: string): string | null {
  const at = '/trunkline/key'
  if (key === null) return null
  const fields = type.kind === 'record' ? type.fields : []
  const names = fields.map((field) => field.name)
  if (typeof key !== 'string')
    throw schemaError(
      file,
      at,
      `name the field whose value keeps messages in order (${names.join(', ')}), or null where order does not matter.`,
    )
  const field = fields.find((each) => each.name === key)
  if (field === undefined)
    throw schemaError(
      file,
      at,
      `there is no field "${key}" (did you mean "${nearest(key, names) ?? names.join('", "')}"?). Name one of its fields, or null.`,
    )
  if (isKeyType(field.type)) return key
  const logical = 'logical' in field.type ? field.type.logical?.name : undefined
  throw schemaError(
    file,
    at,
    `the key "${key}" is of type ${logical ?? field.type.kind}. A key is a string, an int or a long, and not null.`,
  )
}

function repliesOf(replies: unknown, kind: MessageKind, file: string): readonly string[] {
  const at = '/trunkline/replies'
  const names = replies ?? []
  if (!Array.isArray(names) || !names.every((name) => typeof name === 'string'))
    throw schemaError(file, at, 'this is a list of full names: ["shop.stock.StockReserved"].')
  if (kind === 'command' && names.length === 0)
    throw schemaError(file, at, 'a command needs at least one reply, or nobody learns what became of it. Name its replies.')
  if (kind !== 'command' && names.length > 0)
    throw schemaError(
      file,
      at,
      `only a command has replies, this is ${kind === 'event' ? 'an event' : 'a reply'}. Remove them, or make it a command.`,
    )
  if (new Set(names).size !== names.length) throw schemaError(file, at, 'a reply is named twice.')
  return names
}

/** Checks what only all files together show: versions without gaps that agree, and replies that exist. */
export function checkVersions(files: readonly RoutedFile[]): void {
  const byName = Map.groupBy(files, (file) => file.name)
  for (const versions of byName.values()) {
    for (const [index, file] of versions.entries()) checkVersion(file, index, versions)
  }
  for (const file of files) checkReplies(file, byName)
}

function checkVersion(file: RoutedFile, index: number, versions: readonly RoutedFile[]): void {
  const missing = index + 1
  if (file.version !== missing) {
    throw schemaError(
      file.file,
      '',
      `versions count from 1 without a gap, and version ${missing} is missing. Restore its file, or rename this one to v${missing}.`,
    )
  }
  const first = versions[0]
  for (const attribute of ['kind', 'topic', 'key'] as const) {
    if (file.routing?.[attribute] === first?.routing?.[attribute]) continue
    throw schemaError(
      file.file,
      `/trunkline/${attribute}`,
      `versions of a message agree on its ${attribute}, and ${first?.file} has ${JSON.stringify(first?.routing?.[attribute] ?? null)}. Keep it, or give the new message another name.`,
    )
  }
}

function checkReplies(file: RoutedFile, byName: ReadonlyMap<string, readonly RoutedFile[]>): void {
  const topics = new Set<string>()
  file.routing?.replies.forEach((name, index) => {
    const at = `/trunkline/replies/${index}`
    const reply = byName.get(name)?.at(-1)
    if (reply === undefined) {
      const replies = [...byName.keys()].filter((known) => byName.get(known)?.at(-1)?.routing?.kind === 'reply')
      const near = nearest(name, replies)
      throw schemaError(
        file.file,
        at,
        `no schema file defines "${name}"${near === undefined ? '' : ` (did you mean "${near}"?)`}. Correct the name, or add the file.`,
      )
    }
    if (reply.routing?.kind !== 'reply')
      throw schemaError(file.file, at, `"${name}" is not a reply. Set "kind": "reply" in ${reply.file}, or name another.`)
    topics.add(reply.routing.topic)
  })
  if (topics.size > 1)
    throw schemaError(file.file, '/trunkline/replies', `the replies of a command share one topic, these have ${[...topics].join(', ')}.`)
}

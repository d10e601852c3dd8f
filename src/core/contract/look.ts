import type { AvroType } from './avro.ts'
import type { Meaning } from './logical.ts'

/** What a value of a type is in JavaScript, as far as one can tell by looking at it. */
export type Look = 'null' | 'boolean' | 'number' | 'bigint' | 'string' | 'bytes' | 'date' | 'array' | 'object' | 'nothing'

const KINDS: Readonly<Record<AvroType['kind'], Look>> = {
  null: 'null',
  boolean: 'boolean',
  int: 'number',
  long: 'number',
  float: 'number',
  double: 'number',
  string: 'string',
  enum: 'string',
  bytes: 'bytes',
  fixed: 'bytes',
  array: 'array',
  map: 'object',
  record: 'object',
  union: 'nothing',
}

const KIND_NAMES = Object.keys(KINDS) as readonly AvroType['kind'][]

/** @returns the kind that avsc calls by `name`: all of ours, but a union's */
export function kindOfName(name: string): AvroType['kind'] {
  return KIND_NAMES.find((kind) => kind === name) ?? 'union'
}

export function lookOfType({ kind, logical, js }: Meaning): Look {
  if (logical !== undefined) return logical.name === 'timestamp-millis' ? 'date' : 'string'
  return js === 'bigint' ? 'bigint' : KINDS[kind]
}

export function lookOfValue(value: unknown): Look {
  if (value === null) return 'null'
  const type = typeof value
  if (type === 'object') return lookOfObject(value)
  return type === 'function' || type === 'symbol' || type === 'undefined' ? 'nothing' : type
}

function lookOfObject(value: unknown): Look {
  if (Array.isArray(value)) return 'array'
  if (value instanceof Uint8Array) return 'bytes'
  return value instanceof Date ? 'date' : 'object'
}

/** A key is text, and a Date's depends on who writes it. */
export function isKeyType(type: AvroType): boolean {
  return ['string', 'int', 'long'].includes(type.kind) && lookOfType(type) !== 'date'
}

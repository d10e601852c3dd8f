import { PermanentError } from '../../foundation/errors.ts'

/** Marks what JSON has no word for; a user's own key of that name is marked, too. */
const TAG = '$trunkline'

/**
 * A saga's state as JSON text, keeping `Date`, `bigint`, bytes and the numbers that JSON would turn into null.
 *
 * @throws PermanentError `SAGA_STATE_UNSTORABLE`: names the path of a value that could not be read back as it was
 */
export function stateToJson(state: unknown): string {
  return JSON.stringify(toPlain(state, 'state')) ?? 'null'
}

/** Reads what {@link stateToJson} wrote. */
export function stateFromJson(text: string): unknown {
  return fromPlain(JSON.parse(text))
}

function toPlain(value: unknown, path: string): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0) ? value : tagged('number', Object.is(value, -0) ? '-0' : String(value))
    case 'bigint':
      return tagged('bigint', String(value))
    case 'undefined':
      return undefined
    case 'object':
      return value === null ? null : objectToPlain(value, path)
    default:
      throw unstorable(path, typeof value)
  }
}

function objectToPlain(value: object, path: string): unknown {
  if (Array.isArray(value)) return value.map((item: unknown, index) => itemToPlain(item, `${path}[${index}]`))
  if (value instanceof Date) return tagged('date', value.getTime())
  if (value instanceof Uint8Array) return tagged('bytes', Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64'))
  if (value instanceof Map || value instanceof Set || value instanceof Promise || ArrayBuffer.isView(value))
    throw unstorable(path, value.constructor.name)
  const plain = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toPlain(item, `${path}.${key}`)]))
  return Object.hasOwn(plain, TAG) ? tagged('object', plain) : plain
}

/** JSON would turn a hole of an array into null. */
function itemToPlain(item: unknown, path: string): unknown {
  return item === undefined ? tagged('undefined', null) : toPlain(item, path)
}

function tagged(kind: string, value: unknown): Readonly<Record<string, unknown>> {
  return { [TAG]: kind, value }
}

function fromPlain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(fromPlain)
  const plain = value as Readonly<Record<string, unknown>>
  return Object.hasOwn(plain, TAG) ? fromTagged(plain) : entriesFromPlain(plain)
}

function fromTagged(plain: Readonly<Record<string, unknown>>): unknown {
  const value = plain['value']
  switch (plain[TAG]) {
    case 'number':
      return Number(value)
    case 'bigint':
      return BigInt(String(value))
    case 'date':
      return new Date(Number(value ?? Number.NaN))
    case 'bytes':
      return Buffer.from(String(value), 'base64')
    case 'undefined':
      return undefined
    case 'object':
      return entriesFromPlain(value as Readonly<Record<string, unknown>>)
    default:
      throw new PermanentError(
        'SAGA_STATE_UNREADABLE',
        `A stored saga state has a value of kind "${String(plain[TAG])}", which this version cannot read. Upgrade the trunkline package.`,
      )
  }
}

function entriesFromPlain(plain: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(plain).map(([key, item]) => [key, fromPlain(item)]))
}

function unstorable(path: string, what: string): PermanentError {
  return new PermanentError(
    'SAGA_STATE_UNSTORABLE',
    `A saga's state cannot be stored: "${path}" is a ${what}. Keep plain data: objects, arrays, texts, numbers, booleans, null, Date, bigint, Buffer.`,
    { path },
  )
}

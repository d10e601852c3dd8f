import type { TextValue } from './transaction-source.ts'

/**
 * Writes a parameter as PostgreSQL reads it from a text.
 *
 * Libraries differ in how they bind bytes, arrays and large numbers; a text is passed on by all of them, and the
 * server reads it as the type that the statement asks for.
 */
export function toTextValue(value: unknown): TextValue {
  if (value === null || value === undefined) return null
  if (typeof value === 'string') return value
  if (Array.isArray(value)) return `{${value.map(toElement).join(',')}}`
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`
  if (value instanceof Date) return value.toISOString()
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return `${value}`
  return JSON.stringify(value)
}

/** Quoted whatever it holds: braces, commas, quotes, nothing, the word null. */
function toElement(value: unknown): string {
  const text = toTextValue(value)
  if (text === null) return 'null'
  return Array.isArray(value) ? text : `"${text.replace(/[\\"]/g, '\\$&')}"`
}

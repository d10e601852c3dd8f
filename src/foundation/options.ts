import type { z } from 'zod'
import { ConfigurationError } from './errors.ts'

/**
 * Reads options at the door: types, limits, defaults, and no key that means nothing.
 *
 * @param where what the options belong to, as the user wrote it: `createBackbone({ relay })`
 * @throws ConfigurationError `OPTION_INVALID`: names the option, what it must be, what it was, and the nearest known name
 */
export function parseOptions<S extends z.ZodType>(schema: S, input: unknown, where: string): z.output<S> {
  const parsed = schema.safeParse(input)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => describe(issue, schema, input))
  throw new ConfigurationError('OPTION_INVALID', `${where}: ${problems.join('; ')}.`, { where, problems })
}

function describe(issue: z.core.$ZodIssue, schema: z.ZodType, input: unknown): string {
  const path = issue.path.map(String)
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(schema, path)
    return issue.keys.map((key) => `unknown option "${[...path, key].join('.')}"${suggestion(key, known)}`).join('; ')
  }
  const name = path.length === 0 ? 'the options' : `"${path.join('.')}"`
  return `${name}: ${issue.message}, got ${isSecret(path) ? 'a value that is not shown here' : shown(valueAt(input, path))}`
}

function suggestion(key: string, known: readonly string[]): string {
  const near = nearest(key, known)
  if (near !== undefined) return ` (did you mean "${near}"?)`
  return known.length === 0 ? '' : ` (known: ${known.join(', ')})`
}

/** @returns the candidate that a typing slip away would reach; `undefined` when none is near */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      current.push(Math.min((previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1, substitution))
    }
    previous = current
  }
  return previous[b.length] ?? 0
}

function knownKeys(schema: z.ZodType, path: readonly string[]): string[] {
  let at: unknown = schema
  for (const key of path) at = shapeOf(at)?.[key]
  return Object.keys(shapeOf(at) ?? {})
}

/** Walks through defaults and optionals to the object inside. */
function shapeOf(schema: unknown): Record<string, unknown> | undefined {
  let at = schema
  for (let depth = 0; depth < 5 && isObject(at); depth++) {
    if (isObject(at['shape'])) return at['shape']
    const definition = at['def']
    at = isObject(definition) ? (definition['innerType'] ?? definition['in']) : undefined
  }
  return undefined
}

function valueAt(input: unknown, path: readonly string[]): unknown {
  let at = input
  for (const key of path) at = isObject(at) ? at[key] : undefined
  return at
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function isSecret(path: readonly string[]): boolean {
  return /password|secret|token/i.test(path.at(-1) ?? '')
}

function shown(value: unknown): string {
  if (typeof value === 'string') return value.length > 40 ? `a text of ${value.length} characters` : JSON.stringify(withoutPassword(value))
  if (typeof value === 'number' || typeof value === 'boolean' || value === null || value === undefined) return String(value)
  return `a value of type ${typeof value}`
}

/** Addresses carry their password between the first colon after the scheme and the at sign. */
function withoutPassword(text: string): string {
  return text.replace(/(\/\/[^/@:]*):[^/@]*@/, '$1:…@')
}

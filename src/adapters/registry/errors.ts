import { ConfigurationError, messageOf, TransientError, type TrunklineError } from '../../foundation/errors.ts'

/** What the registry was asked, for messages: never a header, never a password. */
export interface Question {
  /** The registry's address, without user and password. */
  readonly address: string
  readonly method: string
  readonly path: string
}

/** What came back that was not a result. */
export interface Refusal {
  readonly status: number
  /** The registry's own code (40403, 42201, …), where it sent one. */
  readonly code: number | undefined
  /** The registry's own words, cut short. */
  readonly message: string
}

/** Confluent's codes for "there is no such thing", which is an answer; any other 404 comes from a wrong address. */
const NOT_FOUND: readonly number[] = [40401, 40402, 40403]

export function isNotFound({ status, code }: Refusal): boolean {
  return status === 404 && code !== undefined && NOT_FOUND.includes(code)
}

/** Worth asking again at once: the registry says that it is its own state, not the question. */
export function isPassing({ status }: Refusal): boolean {
  return status >= 500 || status === 429 || status === 408
}

/** The error of an answer that is neither a result nor "not found". */
export function refused(question: Question, refusal: Refusal): TrunklineError {
  const { status, code, message } = refusal
  const details = { ...question, status, code }
  const said = message === '' ? '' : ` It says: ${message}`
  const answered = `The schema registry at ${question.address} answered ${question.method} ${question.path} with ${status}`
  if (isPassing(refusal)) return new TransientError('REGISTRY_UNAVAILABLE', `${answered}. Try again when it is well.${said}`, details)
  switch (status) {
    case 401:
    case 403:
      return new ConfigurationError('REGISTRY_FORBIDDEN', `${answered}: check "registry.auth", and what it may do.${said}`, details)
    case 404:
      return new ConfigurationError(
        'REGISTRY_ADDRESS_WRONG',
        `${answered}, and not in the way of a schema registry. Set "registry.url" to the root of its Confluent API (Apicurio: …/apis/ccompat/v7).${said}`,
        details,
      )
    case 409:
      return new ConfigurationError(
        'REGISTRY_INCOMPATIBLE',
        `${answered}: the schema is not compatible with the versions registered before it. Run "trunkline schema check", and give what changed a default or a new name.${said}`,
        details,
      )
    case 422:
      return new ConfigurationError(
        'REGISTRY_SCHEMA_REFUSED',
        `${answered}: it does not accept the schema. Correct its file, or the registry's mode.${said}`,
        details,
      )
    default:
      return new ConfigurationError('REGISTRY_REFUSED', `${answered}. Check "registry.url".${said}`, details)
  }
}

/** A redirect is not followed: it would carry the password to another host. */
export function redirected(question: Question, status: number, location: string | null): ConfigurationError {
  const target = location === null ? 'elsewhere' : `to ${hostOf(location)}`
  return new ConfigurationError(
    'REGISTRY_REDIRECTED',
    `The schema registry at ${question.address} redirects ${target} (${status}), and redirects are not followed. Set "registry.url" to where the registry is.`,
    { ...question, status },
  )
}

/** What answered is not the registry, or not whole: a proxy's page, a broken connection. */
export function garbage(question: Question, problem: string): TransientError {
  return new TransientError(
    'REGISTRY_UNAVAILABLE',
    `What answered ${question.method} ${question.path} at ${question.address} is no schema registry: ${problem}. Is "registry.url" right, and is there a proxy between?`,
    { ...question },
  )
}

export function unreachable(question: Question, error: unknown): TransientError {
  const why = error instanceof Error && error.cause instanceof Error ? error.cause.message : messageOf(error)
  return new TransientError(
    'REGISTRY_UNAVAILABLE',
    `The schema registry at ${question.address} cannot be reached: ${why}. Is it running, and is "registry.url" right?`,
    { ...question },
    error,
  )
}

export function tooSlow(question: Question, timeoutMs: number): TransientError {
  return new TransientError(
    'REGISTRY_UNAVAILABLE',
    `The schema registry at ${question.address} did not answer ${question.method} ${question.path} within ${timeoutMs} ms. Is it overloaded? "registry.timeout" is how long to wait.`,
    { ...question, timeoutMs },
  )
}

function hostOf(location: string): string {
  return URL.parse(location)?.host ?? 'another path'
}

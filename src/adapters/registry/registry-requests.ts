import { Buffer } from 'node:buffer'
import type { z } from 'zod'
import { backoffMs } from '../../foundation/backoff.ts'
import type { Clock } from '../../foundation/clock.ts'
import { isTrunklineError } from '../../foundation/errors.ts'
import { garbage, isNotFound, isPassing, type Question, type Refusal, redirected, refused, tooSlow, unreachable } from './errors.ts'

/** How to log in; never logged, never part of an error. */
export type RegistryAuth = { readonly username: string; readonly password: string } | { readonly token: string }

const CONTENT_TYPE = 'application/vnd.schemaregistry.v1+json'
/** A schema is text that people write; a larger answer is no registry's. */
const ANSWER_BYTES_MAX = 1024 * 1024
/** Of the registry's own words, in a message of ours. */
const SAID_CHARACTERS_MAX = 200
const TRIES_MAX = 4
/** What a registry asks for by `Retry-After` counts only up to here. */
const WAIT_MS_MAX = 2_000

interface RequestOptions {
  readonly url: string
  readonly auth?: RegistryAuth | undefined
  readonly timeoutMs: number
}

interface Ask {
  readonly body?: Record<string, unknown> | undefined
  readonly signal?: AbortSignal | undefined
  /** The registry may be one that has no such path. */
  readonly missingIsNotFound?: boolean
}

/** What stands behind one try. */
type Answer =
  | { readonly kind: 'result'; readonly json: unknown }
  | { readonly kind: 'refusal'; readonly refusal: Refusal; readonly waitMs: number }

/** Questions to one registry: its address, how to log in, how long to wait, how often to ask. */
export class RegistryRequests {
  readonly address: string
  readonly #clock: Clock
  readonly #headers: Readonly<Record<string, string>>
  readonly #timeoutMs: number

  constructor(parts: { readonly clock: Clock }, options: RequestOptions) {
    const url = new URL(options.url)
    this.#clock = parts.clock
    this.#timeoutMs = options.timeoutMs
    this.#headers = {
      accept: `${CONTENT_TYPE}, application/json`,
      'content-type': CONTENT_TYPE,
      ...authorization(options.auth ?? authIn(url)),
    }
    this.address = `${url.origin}${url.pathname.replace(/\/+$/, '')}`
  }

  /** As {@link ask}, where "not found" is no answer. */
  async demand<Schema extends z.ZodType>(
    schema: Schema,
    method: string,
    path: string,
    body: Record<string, unknown>,
  ): Promise<z.output<Schema>> {
    const question = { address: this.address, method, path }
    const answer = await this.#untilAnswered(question, { body })
    if (answer.kind === 'refusal') throw refused(question, answer.refusal)
    return understood(schema, answer.json, question)
  }

  /** @returns `undefined` when the registry says that there is no such thing */
  async ask<Schema extends z.ZodType>(schema: Schema, method: string, path: string, ask: Ask = {}): Promise<z.output<Schema> | undefined> {
    const question = { address: this.address, method, path }
    const answer = await this.#untilAnswered(question, ask)
    if (answer.kind === 'result') return understood(schema, answer.json, question)
    const { refusal } = answer
    if (isNotFound(refusal) || (ask.missingIsNotFound === true && refusal.status === 404)) return undefined
    throw refused(question, refusal)
  }

  /** Repeats what may pass, until the time of the question is over. */
  async #untilAnswered(question: Question, ask: Ask): Promise<Answer> {
    const overall = AbortSignal.timeout(this.#timeoutMs)
    const signal = ask.signal === undefined ? overall : AbortSignal.any([overall, ask.signal])
    for (let tries = 1; ; tries++) {
      let waitMs: number
      let problem: unknown
      try {
        const answer = await this.#once(question, ask.body, signal)
        if (answer.kind === 'result' || !isPassing(answer.refusal)) return answer
        problem = refused(question, answer.refusal)
        waitMs = answer.waitMs
      } catch (error) {
        if (overall.aborted) throw tooSlow(question, this.#timeoutMs)
        // Ours says already what is wrong, and asking again would not mend it.
        if (isTrunklineError(error) || ask.signal?.aborted === true) throw error
        problem = unreachable(question, error)
        waitMs = 0
      }
      if (tries === TRIES_MAX) throw problem
      await this.#clock.sleep(Math.max(waitMs, backoffMs(tries, { minMs: 50, maxMs: 500 })), signal)
      if (signal.aborted) throw problem
    }
  }

  async #once(question: Question, body: Record<string, unknown> | undefined, signal: AbortSignal): Promise<Answer> {
    const response = await fetch(question.address + question.path, {
      method: question.method,
      headers: this.#headers,
      redirect: 'manual',
      signal,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    if (response.status >= 300 && response.status < 400) {
      await response.body?.cancel()
      throw redirected(question, response.status, response.headers.get('location'))
    }
    const text = await readText(response, question)
    if (!response.ok) return { kind: 'refusal', refusal: refusalOf(response.status, text), waitMs: waitOf(response) }
    const json = parsedJson(text)
    if (json === undefined) throw garbage(question, 'its answer is not JSON')
    return { kind: 'result', json }
  }
}

function understood<Schema extends z.ZodType>(schema: Schema, json: unknown, question: Question): z.output<Schema> {
  const parsed = schema.safeParse(json)
  if (parsed.success) return parsed.data
  throw garbage(question, `its JSON is not what was asked for (${parsed.error.issues[0]?.path.join('.') || 'the whole answer'})`)
}

/** Read in pieces, so that an endless answer ends. */
async function readText(response: Response, question: Question): Promise<string> {
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of response.body ?? []) {
    bytes += piece.length
    // Leaving the loop cancels the stream.
    if (bytes > ANSWER_BYTES_MAX) throw garbage(question, `its answer has more than ${ANSWER_BYTES_MAX} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString()
}

function refusalOf(status: number, text: string): Refusal {
  const json = parsedJson(text)
  const object = typeof json === 'object' && json !== null ? json : {}
  const code = 'error_code' in object && typeof object.error_code === 'number' ? object.error_code : undefined
  const message = 'message' in object && typeof object.message === 'string' ? object.message : text
  return { status, code, message: shortened(message) }
}

/** Somebody else's words, on one line and without control characters. */
function shortened(text: string): string {
  const line = text
    .slice(0, SAID_CHARACTERS_MAX * 2)
    .replaceAll(/[\p{Cc}\s]+/gu, ' ')
    .trim()
  return line.length > SAID_CHARACTERS_MAX ? `${line.slice(0, SAID_CHARACTERS_MAX)}…` : line
}

function parsedJson(text: string): unknown {
  try {
    const json: unknown = JSON.parse(text)
    return json
  } catch {
    return undefined
  }
}

function waitOf(response: Response): number {
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN)
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(WAIT_MS_MAX, seconds * 1_000) : 0
}

/** `https://user:password@host` is how the environment carries a login; `fetch` refuses it there. */
function authIn(url: URL): RegistryAuth | undefined {
  if (url.username === '') return undefined
  return { username: decodeURIComponent(url.username), password: decodeURIComponent(url.password) }
}

function authorization(auth: RegistryAuth | undefined): Record<string, string> {
  if (auth === undefined) return {}
  if ('token' in auth) return { authorization: `Bearer ${auth.token}` }
  return { authorization: `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}` }
}

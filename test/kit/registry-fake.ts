import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { z } from 'zod'

const refersTo = z.object({ name: z.string(), subject: z.string(), version: z.int() })
const posted = z.object({ schema: z.string(), schemaType: z.string().optional(), references: z.array(refersTo).optional() })
type Posted = z.output<typeof posted>

/** What the fake does instead of answering as a registry would. */
export interface Fault {
  readonly status?: number
  /** Sent as it is. */
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Answer only when the test ends, or the client goes away. */
  readonly hang?: boolean
  /** Close the connection without a word. */
  readonly reset?: boolean
  /** Send bytes for ever. */
  readonly endless?: boolean
}

class Refusal extends Error {
  readonly status: number
  readonly code: number

  constructor(status: number, code: number, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

/**
 * A schema registry over HTTP, in memory: Confluent's API as far as a client uses it, with faults at will.
 *
 * A schema is compatible with another when it keeps its fields' types, and fields that only one of them has have defaults.
 */
export class RegistryFake {
  /** Every request so far, `GET /schemas/ids/1`. */
  readonly requests: string[] = []
  /** What was sent as `authorization`, request by request. */
  readonly logins: (string | undefined)[] = []
  readonly #server: Server
  readonly #schemas: Posted[] = []
  readonly #subjects = new Map<string, number[]>()
  readonly #levels = new Map<string, string>([['', 'NONE']])
  readonly #modes = new Map<string, string>([['', 'READWRITE']])
  readonly #faults: Fault[] = []
  #always: { readonly fault: Fault; readonly method: string | undefined } | undefined

  private constructor() {
    this.#server = createServer((request, response) => void this.#handle(request, response))
  }

  static async start(): Promise<RegistryFake> {
    const fake = new RegistryFake()
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve))
    return fake
  }

  get url(): string {
    const address: AddressInfo | string | null = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('The fake registry does not listen.')
    return `http://127.0.0.1:${address.port}`
  }

  /** The next requests get these, one each. */
  failNext(...faults: Fault[]): void {
    this.#faults.push(...faults)
  }

  /** Every request gets this, or every one of that method, until it is called without a fault. */
  failAlways(fault?: Fault, method?: 'GET' | 'POST'): void {
    this.#always = fault === undefined ? undefined : { fault, method }
  }

  /** Forgets a schema, as a registry does that was restored from an old backup. */
  forget(id: number): void {
    this.#schemas[id - 1] = { schema: '' }
    for (const ids of this.#subjects.values()) if (ids.includes(id)) ids.splice(ids.indexOf(id), 1)
  }

  /** Keeps any text under an id of its own, as a broken or hostile registry may. */
  plant(schema: string, schemaType?: string): number {
    this.#schemas.push({ schema, ...(schemaType === undefined ? {} : { schemaType }) })
    return this.#schemas.length
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/' } = request
    this.requests.push(`${method} ${url}`)
    this.logins.push(request.headers.authorization)
    const body = await textOf(request)
    const always = this.#always?.method === undefined || this.#always.method === method ? this.#always?.fault : undefined
    const fault = this.#faults.shift() ?? always
    if (fault !== undefined) return fail(request, response, fault)
    try {
      const path = new URL(url, this.url).pathname.split('/').slice(1).map(decodeURIComponent)
      send(response, 200, this.#answer(method, path, body))
    } catch (error) {
      if (!(error instanceof Refusal)) return send(response, 500, { error_code: 50001, message: String(error) })
      send(response, error.status, { error_code: error.code, message: error.message })
    }
  }

  #answer(method: string, path: readonly string[], body: string): unknown {
    const [first = '', second = '', ...rest] = path
    switch (`${method} ${first}`) {
      case 'GET schemas':
        return this.#byId(Number(rest[0]))
      case 'POST compatibility':
        return this.#compatibility(rest[0] ?? '', rest[2], schemaIn(body))
      case 'GET subjects':
        return second === '' ? [...this.#subjects.keys()] : this.#versions(second, rest)
      case 'POST subjects':
        return rest[0] === 'versions' ? this.#register(second, schemaIn(body)) : this.#find(second, schemaIn(body))
      case 'GET config':
        return { compatibilityLevel: this.#levels.get(second) ?? this.#levels.get('') }
      case 'PUT config':
        this.#levels.set(second, z.object({ compatibility: z.string() }).parse(JSON.parse(body)).compatibility)
        return JSON.parse(body)
      case 'GET mode':
        return { mode: this.#modes.get(second) ?? this.#modes.get('') }
      case 'PUT mode':
        this.#modes.set(second, z.object({ mode: z.string() }).parse(JSON.parse(body)).mode)
        return JSON.parse(body)
      default:
        throw new Refusal(404, 404, 'HTTP 404 Not Found')
    }
  }

  #byId(id: number): Posted {
    const found = this.#schemas[id - 1]
    if (found === undefined || found.schema === '') throw new Refusal(404, 40403, `Schema ${id} not found`)
    return found
  }

  #versions(subject: string, [, version, sub]: readonly string[]): unknown {
    const ids = this.#idsOf(subject)
    if (version === undefined) return ids.map((_, index) => index + 1)
    const number = version === 'latest' ? ids.length : Number(version)
    const id = ids[number - 1]
    if (id === undefined) throw new Refusal(404, 40402, `Version ${version} not found.`)
    if (sub === 'referencedby') return this.#referencing(subject, number)
    return { subject, version: number, id, ...this.#byId(id) }
  }

  #referencing(subject: string, version: number): number[] {
    const refers = (schema: Posted): boolean =>
      schema.references?.some((each) => each.subject === subject && each.version === version) === true
    return this.#schemas.flatMap((schema, index) => (refers(schema) ? [index + 1] : []))
  }

  #register(subject: string, schema: Posted): { id: number } {
    const known = this.#idIn(this.#subjects.get(subject) ?? [], schema)
    if (known !== undefined) return { id: known }
    if ((this.#modes.get(subject) ?? this.#modes.get('')) !== 'READWRITE')
      throw new Refusal(422, 42205, `Subject ${subject} is in READONLY mode`)
    const before = this.#levelOf(subject).endsWith('_TRANSITIVE') ? undefined : 'latest'
    if (!this.#compatibility(subject, before, schema).is_compatible) {
      throw new Refusal(409, 409, `Schema being registered is incompatible with an earlier schema for subject "${subject}"`)
    }
    let id = this.#idIn(
      [...this.#schemas.keys()].map((index) => index + 1),
      schema,
    )
    if (id === undefined) id = this.#schemas.push(schema)
    this.#subjects.set(subject, [...(this.#subjects.get(subject) ?? []), id])
    return { id }
  }

  #find(subject: string, schema: Posted): unknown {
    const ids = this.#idsOf(subject)
    const id = this.#idIn(ids, schema)
    if (id === undefined) throw new Refusal(404, 40403, 'Schema not found')
    return { subject, version: ids.indexOf(id) + 1, id, ...schema }
  }

  #levelOf(subject: string): string {
    return this.#levels.get(subject) ?? this.#levels.get('') ?? 'NONE'
  }

  #idIn(ids: readonly number[], schema: Posted): number | undefined {
    return ids.find((id) => JSON.stringify(this.#schemas[id - 1]) === JSON.stringify(schema))
  }

  #idsOf(subject: string): readonly number[] {
    const ids = this.#subjects.get(subject)
    if (ids === undefined) throw new Refusal(404, 40401, `Subject '${subject}' not found.`)
    return ids
  }

  #compatibility(subject: string, version: string | undefined, schema: Posted): { is_compatible: boolean; messages: string[] } {
    const ids = this.#levelOf(subject) === 'NONE' ? [] : (this.#subjects.get(subject) ?? [])
    const number = version === 'latest' ? ids.length : Number(version)
    const against = version === undefined ? ids : ids.slice(number - 1, number)
    const messages = against.flatMap((id) => differences(this.#byId(id).schema, schema.schema))
    return { is_compatible: messages.length === 0, messages }
  }
}

const record = z.object({ fields: z.array(z.object({ name: z.string(), type: z.unknown(), default: z.unknown().optional() })).default([]) })

function differences(before: string, after: string): string[] {
  const fields = [before, after].map((text) => record.parse(JSON.parse(text)).fields)
  const [old = [], young = []] = fields
  const pairs = [...old.map((field) => ({ field, other: young })), ...young.map((field) => ({ field, other: old }))]
  return pairs.flatMap(({ field, other }) => {
    const twin = other.find(({ name }) => name === field.name)
    if (twin === undefined) return 'default' in field ? [] : [`${field.name} is in one of them only and has no default`]
    return JSON.stringify(twin.type) === JSON.stringify(field.type) ? [] : [`${field.name} has another type`]
  })
}

function schemaIn(body: string): Posted {
  try {
    const schema = posted.parse(JSON.parse(body))
    JSON.parse(schema.schema)
    return schema
  } catch {
    throw new Refusal(422, 42201, 'Invalid schema')
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of request) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces).toString()
}

function send(response: ServerResponse, status: number, json: unknown): void {
  response.writeHead(status, { 'content-type': 'application/vnd.schemaregistry.v1+json' }).end(JSON.stringify(json))
}

function fail(request: IncomingMessage, response: ServerResponse, fault: Fault): void {
  if (fault.hang === true) return
  if (fault.reset === true) {
    request.socket.destroy()
    return
  }
  response.writeHead(fault.status ?? 200, fault.headers)
  if (fault.endless !== true) {
    response.end(fault.body ?? '')
    return
  }
  const more = (): void => {
    while (!response.destroyed && response.write('x'.repeat(64 * 1024)));
    if (!response.destroyed) response.once('drain', more)
  }
  more()
}

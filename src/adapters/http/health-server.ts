import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Health } from '../../core/health.ts'
import { ConfigurationError } from '../../foundation/errors.ts'
import type { Service } from '../../foundation/service.ts'

export interface HealthServerOptions {
  readonly port: number
  readonly host: string
}

const CONNECTIONS_MAX = 50
const REQUEST_MS_MAX = 5_000
/** For so long an answer is given again: probes may come as often as they like. */
const ANSWER_MS = 500

/**
 * Serves a backbone's health to probes: `/live`, `/ready`, and `/health` with the parts.
 *
 * 200 or 503 and a JSON document; never a payload, an address or an error's text. Few connections, short requests, and
 * the database is asked at most twice a second.
 */
export class HealthServer implements Service {
  readonly #health: () => Promise<Health>
  readonly #options: HealthServerOptions
  #server: Server | undefined
  #answer: { readonly at: number; readonly health: Promise<Health> } | undefined

  constructor(health: () => Promise<Health>, options: HealthServerOptions) {
    this.#health = health
    this.#options = options
  }

  /** The port that it listens on: the one that was asked for, or, for 0, the one that was free. */
  get port(): number | undefined {
    const address = this.#server?.address()
    return typeof address === 'object' ? address?.port : undefined
  }

  /** @throws ConfigurationError `HEALTH_PORT_UNAVAILABLE`: it is taken, or may not be used */
  async start(): Promise<void> {
    if (this.#server !== undefined) return
    const server = createServer(
      { requestTimeout: REQUEST_MS_MAX, headersTimeout: REQUEST_MS_MAX, keepAliveTimeout: REQUEST_MS_MAX },
      (request, response) => {
        this.#respond(request, response).catch(() => send(response, 503, { error: 'The service could not say how it is doing.' }))
      },
    )
    server.maxConnections = CONNECTIONS_MAX
    const { port, host } = this.#options
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(unavailable(port, host, error)))
      server.listen(port, host, resolve)
    })
    server.on('error', () => undefined)
    // The service keeps the process alive, not its probes.
    server.unref()
    this.#server = server
  }

  async stop(): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    this.#server = undefined
    await new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  }

  async #respond({ method, url }: IncomingMessage, response: ServerResponse): Promise<void> {
    if (method !== 'GET' && method !== 'HEAD') return send(response, 405, { error: 'GET or HEAD' })
    // Any bytes may come as a path.
    const pathname = URL.parse(url ?? '/', 'http://localhost')?.pathname
    switch (pathname) {
      case '/live':
      case '/ready':
      case '/health': {
        const health = await this.#asked()
        if (pathname === '/live') return send(response, health.live ? 200 : 503, { live: health.live })
        const status = health.ready ? 200 : 503
        return send(response, status, pathname === '/ready' ? { ready: health.ready } : health)
      }
      default:
        return send(response, 404, { error: 'There are /live, /ready and /health.' })
    }
  }

  #asked(): Promise<Health> {
    const now = performance.now()
    if (this.#answer === undefined || now - this.#answer.at > ANSWER_MS) this.#answer = { at: now, health: this.#health() }
    return this.#answer.health
  }
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  response.end(`${JSON.stringify(body)}\n`)
}

function unavailable(port: number, host: string, error: Error): ConfigurationError {
  const why = 'code' in error ? String(error.code) : error.name
  const known: Record<string, string> = {
    EADDRINUSE: 'another process has it',
    EACCES: 'this user may not use it',
    EADDRNOTAVAIL: 'this machine has no such address',
  }
  return new ConfigurationError(
    'HEALTH_PORT_UNAVAILABLE',
    `health: port ${port} of ${host} cannot be used (${known[why] ?? why}). Choose another port, or 0 for any that is free.`,
    { port, host },
    error,
  )
}

import { ConflictError, isTrunklineError, TransientError, TrunklineError } from '../../foundation/errors.ts'
import { codeOf, mapDatabaseError } from '../postgres/errors.ts'

/** Where libraries put the error that they wrap. */
const inside = ['cause', 'driverError', 'meta', 'driverAdapterError'] as const
const DEPTH_MAX = 6

/** Prisma's own codes: unreachable, timed out, closed, no connection free, transaction ended by the engine. */
const prismaUnavailable = /^P(1001|1002|1008|1017|2024|2028)$/
/** Prisma's word for 40001 and 40P01, which it does not pass on. */
const PRISMA_CONFLICT = 'P2034'
/** What Prisma's adapter makes of errors of the network. */
const networkKinds = new Set(['ConnectionClosed', 'SocketTimeout', 'DatabaseNotReachable', 'TooManyConnections'])

/**
 * Looks through a library's error for what the database said.
 *
 * @returns an error of ours where the reaction is known; otherwise the error itself, untouched
 */
export function mapOrmError(error: unknown, doing: string): unknown {
  if (error instanceof TrunklineError) return error
  for (const layer of layersOf(error)) {
    const mapped = mapLayer(layer, doing)
    if (isTrunklineError(mapped)) return withCause(mapped, error)
  }
  return error
}

/** The error, then what it wraps, then what that wraps. */
function layersOf(error: unknown): object[] {
  const layers: object[] = []
  const look = (value: unknown, depth: number): void => {
    if (typeof value !== 'object' || value === null || depth > DEPTH_MAX || layers.includes(value)) return
    layers.push(value)
    for (const name of inside) look(Reflect.get(value, name), depth + 1)
  }
  look(error, 0)
  return layers
}

function mapLayer(layer: object, doing: string): unknown {
  const code = codeOf(layer) ?? ''
  const text = textOf(layer)
  if (code === PRISMA_CONFLICT)
    return new ConflictError('DATABASE_CONFLICT', `${doing}: another transaction was first (${text}). Run it again.`)
  if (prismaUnavailable.test(code) || networkKinds.has(String(Reflect.get(layer, 'kind')))) return unavailable(doing, text)
  const original = Reflect.get(layer, 'originalCode')
  const said = typeof original === 'string' ? Object.assign(new Error(text), { code: original }) : layer
  return mapDatabaseError(said, doing)
}

function unavailable(doing: string, text: string): TransientError {
  const message = `${doing}: the database is not available (${text}). It can be tried again; check the database's address and the server if it lasts.`
  return new TransientError('DATABASE_UNAVAILABLE', message)
}

function textOf(layer: object): string {
  const text = Reflect.get(layer, 'originalMessage') ?? Reflect.get(layer, 'message') ?? Reflect.get(layer, 'kind')
  return typeof text === 'string' ? text.trim() : 'no reason given'
}

/** Whoever debugs wants the library's error too, which names the user's statement. */
function withCause(mapped: TrunklineError, error: unknown): TrunklineError {
  mapped.cause = error
  return mapped
}

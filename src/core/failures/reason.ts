import { createHash } from 'node:crypto'
import { errorName, isTrunklineError, messageOf } from '../../foundation/errors.ts'

/** Why a message is kept. */
export interface Reason {
  /** Our code or the error's name; never a text that could quote a payload. */
  readonly code: string
  /** For people; it may quote the message, so it is stored with it and never logged. */
  readonly text: string
  /** What failures are grouped by, `null` where nothing failed: `TypeError in take (src/stock.ts) · shop.orders.OrderPlaced`. */
  readonly cause: string | null
}

/** Whether it is a server's error that does not say which code sent the statement: it came out of a socket. */
export function lacksPlace(error: unknown): boolean {
  return SQLSTATE.test(codeOf(error) ?? '') && topFrame(error) === undefined
}

const SQLSTATE = /^(?:\d[\dA-Z]|F0|HV|P0|XX)[\dA-Z]{3}$/

/** Where our own code is: its frames say nothing about the user's. */
const ownDirectory = new URL('../../', import.meta.url).href.replace('file://', '')

/**
 * What is to be known of a failed attempt: class, top frame of the user's code, contract.
 *
 * Neither line numbers nor folders above the file's own are part of the cause, so that it stays the same on another
 * machine, and in the build that should have fixed it.
 *
 * @param name the message's name
 */
export function reasonOf(error: unknown, name: string): Reason {
  const frame = topFrame(error)
  const cause = `${failureName(error)}${frame === undefined ? '' : ` in ${frame}`} · ${name}`
  return { code: isTrunklineError(error) ? errorName(error) : 'HANDLER_FAILED', text: messageOf(error), cause }
}

/** What is to be known where no handler failed. */
export function reasonFor(code: string, text: string, name: string): Reason {
  return { code, text, cause: `${code} · ${name}` }
}

/** The message itself is fine: it waits behind another of its key. */
export const behindItsKey: Reason = { code: 'KEY_PARKED', text: 'An earlier message of this key waits.', cause: null }

/** A short name for a cause, the same for ever. */
export function fingerprintOf(cause: string): string {
  return createHash('sha256').update(cause).digest('hex').slice(0, 12)
}

/** The error's name, and the code that drivers and Node put beside it (a SQLSTATE, `ECONNREFUSED`); nothing of its text, which may hold data. */
export function failureName(error: unknown): string {
  const name = errorName(error)
  if (isTrunklineError(error)) return name
  const code = codeOf(error)
  return code === undefined ? name : `${name} ${code}`
}

function codeOf(error: unknown): string | undefined {
  try {
    if (!(error instanceof Error) || !('code' in error)) return undefined
    return typeof error.code === 'string' && /^\w{1,40}$/.test(error.code) ? error.code : undefined
  } catch {
    return undefined
  }
}

/** @returns the first frame outside of Node, of packages and of our own code; `undefined` where there is none */
function topFrame(error: unknown): string | undefined {
  for (const line of stackOf(error)) {
    const [, called = '', path = ''] = /^\s+at (?:(?:async )?(.+?) \()?(.+?):\d+:\d+\)?$/.exec(line) ?? []
    if (path === '' || /(^node:)|[\\/]node_modules[\\/]/.test(path) || path.replace('file://', '').startsWith(ownDirectory)) continue
    const file = path.split(/[\\/]/).slice(-2).join('/')
    return called === '' ? `(${file})` : `${called.slice(0, 100)} (${file})`
  }
  return undefined
}

/** A handler can throw what cannot even be looked at. */
function stackOf(error: unknown): readonly string[] {
  try {
    return error instanceof Error ? String(error.stack).slice(0, 20_000).split('\n') : []
  } catch {
    return []
  }
}

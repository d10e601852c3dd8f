import { ConfigurationError, isTrunklineError, messageOf, TransientError, type TrunklineError } from '../../foundation/errors.ts'
import { sentenceOf } from '../wire/protocol-errors.ts'
import { protocolMismatch } from '../wire/protocol-mismatch.ts'

/** The client nests what happened: an error of several attempts, of a reply, of a socket. */
const NESTED_MAX = 50

/** Turns whatever the client throws into the class that says how to react. */
export function mapError(error: unknown, addresses: readonly string[]): TrunklineError {
  if (isTrunklineError(error)) return error
  const nested = nestedIn(error)
  const where = addresses.join(', ')
  const access = nested.find((one) => textOf(one, 'code') === 'PLT_KFK_AUTHENTICATION' || isRefusal(textOf(one, 'apiId')))
  if (access !== undefined) {
    const type = textOf(access, 'apiId') ?? textOf(access, 'code')
    return new ConfigurationError(
      'KAFKA_ACCESS',
      `Kafka at ${where} does not let this service in: ${sentenceOf(access)} Check the credentials and what they permit.`,
      { addresses, type },
      error,
    )
  }
  for (const one of nested) {
    const mismatch = protocolMismatch(`${textOf(one, 'code') ?? ''} ${messageOf(one)}`)
    if (mismatch === undefined) continue
    return new ConfigurationError('KAFKA_PROTOCOL', `Kafka at ${where} cannot be talked to: ${mismatch}`, { addresses }, error)
  }
  const broken = nested.find(isConnectionError)
  if (broken !== undefined) {
    return new TransientError(
      'BROKER_UNREACHABLE',
      `No Kafka broker answers at ${where}: ${sentenceOf(nested.at(-1))} Check the addresses, that Kafka runs, and whether the port speaks TLS.`,
      { addresses },
      error,
    )
  }
  const answer = nested.find((one) => textOf(one, 'apiId') !== undefined) ?? nested.at(-1)
  const type = textOf(answer, 'apiId')
  return new TransientError('KAFKA_FAILED', `Kafka at ${where}: ${sentenceOf(answer)} It can be tried again.`, { addresses, type }, error)
}

/** Whether a broker answered, with an error: nothing is wrong with the connection. */
export function isAnswer(mapped: TrunklineError): boolean {
  return ['TOPIC_MISSING', 'LEADER_MISSING', 'KAFKA_FAILED', 'TOPIC_SETTINGS_REFUSED', 'TOPIC_PARTITIONS_REFUSED'].includes(mapped.code)
}

/** Kafka's code for "this group is not yours". */
export const GROUP_REFUSED = 30

export function groupRefused(group: string, addresses: readonly string[]): ConfigurationError {
  return new ConfigurationError(
    'KAFKA_ACCESS',
    `Kafka at ${addresses.join(', ')} does not let this service into the group "${group}". Permit it to read the group.`,
    { addresses, group },
  )
}

function isRefusal(apiId: string | undefined): boolean {
  return apiId !== undefined && /SASL|AUTHORIZATION_FAILED/.test(apiId)
}

function isConnectionError(error: unknown): boolean {
  const code = textOf(error, 'code') ?? ''
  return ['PLT_KFK_NETWORK', 'PLT_KFK_UNEXPECTED_CORRELATION_ID', 'ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'ENOTFOUND'].includes(code)
}

/** The error, and behind it what it wraps, outermost first. */
function nestedIn(error: unknown): unknown[] {
  const nested: unknown[] = [error]
  for (let index = 0; index < nested.length && nested.length < NESTED_MAX; index++) {
    const one = nested[index]
    if (one instanceof AggregateError) nested.push(...one.errors.slice(0, NESTED_MAX))
    if (one instanceof Error && one.cause !== undefined) nested.push(one.cause)
  }
  return nested
}

function textOf(error: unknown, field: 'code' | 'apiId'): string | undefined {
  if (!(error instanceof Error)) return undefined
  const value: unknown = Reflect.get(error, field)
  return typeof value === 'string' ? value : undefined
}

import { ConfigurationError } from '../../foundation/errors.ts'

/** Methods inside kafkajs that our overrides call or replace, by the file of their class. */
const leanedOn: Readonly<Record<string, readonly string[]>> = {
  'kafkajs/src/cluster': ['connect', 'disconnect', 'refreshMetadata', 'findBroker', 'findGroupCoordinatorMetadata'],
  'kafkajs/src/cluster/brokerPool': ['refreshMetadata', 'findConnectedBroker'],
  'kafkajs/src/broker': ['listOffsets', 'describeConfigs', 'findGroupCoordinator'],
  'kafkajs/src/network/connectionPool': ['send', 'getConnectionByRequest'],
  'kafkajs/src/network/connection': [
    'connect',
    'isConnected',
    'processData',
    'isAuthenticated',
    'authenticate',
    'failIfNotConnected',
    'nextCorrelationId',
  ],
  'kafkajs/src/network/requestQueue': [
    'scheduleCheckPendingRequests',
    'scheduleRequestTimeoutCheck',
    'sendSocketRequest',
    'push',
    'maybeThrottle',
    'destroy',
  ],
}
/** Functions that are used as they are. */
const used: Readonly<Record<string, string | undefined>> = {
  'kafkajs/src/consumer': undefined,
  'kafkajs/src/admin': undefined,
  'kafkajs/src/loggers': 'createLogger',
  'kafkajs/src/network/socketFactory': undefined,
  'kafkajs/src/protocol/error': 'createErrorFromCode',
  'kafkajs/src/protocol/requests/fetch/v11/response': 'parse',
}

/**
 * Looks, when the first client is made, whether kafkajs is inside as our overrides expect it: a version number does not
 * tell of patches, and an override that replaces nothing removes nothing.
 *
 * @throws ConfigurationError `KAFKAJS_CHANGED`: something is missing; the message names it
 */
export function checkInternals(require: NodeJS.Require): void {
  const missing: string[] = []
  for (const [file, methods] of Object.entries(leanedOn)) {
    const prototype: unknown = Reflect.get(Object(require(file)), 'prototype')
    for (const method of methods) if (typeof Reflect.get(Object(prototype), method) !== 'function') missing.push(`${method} of ${file}`)
  }
  for (const [file, name] of Object.entries(used)) {
    const module: unknown = require(file)
    const value: unknown = name === undefined ? module : Reflect.get(Object(module), name)
    if (typeof value !== 'function') missing.push(name === undefined ? file : `${name} of ${file}`)
  }
  if (missing.length === 0) return
  throw new ConfigurationError(
    'KAFKAJS_CHANGED',
    `The installed kafkajs is not as it was released: ${missing.join(', ')} cannot be found. ` +
      'Trunkline corrects defects in there. Remove what patches it, and install it again.',
    { missing },
  )
}

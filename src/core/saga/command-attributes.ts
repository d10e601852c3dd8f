import type { Message } from '../contract/contract.ts'
import type { SagaEffect } from './transition.ts'

type Send = Extract<SagaEffect, { kind: 'send' }>

/**
 * The extensions by which a command of a saga is known to its participant. A reply copies `sagaid` and `commandid`.
 *
 * `refusedby` stands on compensations: what the participant answered may have been a "no" that never reached the saga,
 * and then there is nothing to undo.
 */
export function commandAttributes(sagaId: string, send: Send, refusedBy: readonly string[]): Readonly<Record<string, string>> {
  const attributes = { sagaid: sagaId, sagastep: send.step, commandid: send.commandId }
  if (send.actionId === null) return attributes
  return { ...attributes, actionid: send.actionId, ...(refusedBy.length === 0 ? {} : { refusedby: refusedBy.join(',') }) }
}

/** The full names of the replies by which the action of a compensation may have been refused. */
export function refusals(compensation: Message): readonly string[] {
  const text = compensation.attributes['refusedby']
  return text === undefined ? [] : text.split(',')
}

/** Whatever stands on a topic is checked before it reaches SQL. */
export function isUuid(text: string | undefined): text is string {
  return text !== undefined && /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text)
}

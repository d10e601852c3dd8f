import { ConfigurationError, PermanentError, StuckError } from '../../foundation/errors.ts'
import { decodePayload, encodePayload } from '../contract/codec.ts'
import { CommandSettled } from '../contract/command-settled.ts'
import type { AnyContract, ContractDefinition, Message, Outgoing } from '../contract/contract.ts'
import type { Publication } from '../outbox/publication.ts'
import { isUuid, refusals } from './command-attributes.ts'
import type { ParticipantStore, StoredReply } from './participant-store.ts'

export interface GuardParts<Tx> {
  readonly participants: ParticipantStore<Tx>
}

interface Guarded<Tx> extends GuardParts<Tx> {
  readonly tx: Tx
  readonly definition: ContractDefinition
  readonly sagaId: string
  readonly commandId: string
  readonly answer: () => Promise<Publication>
}

/**
 * Runs a saga's command at most once, and never after its compensation.
 *
 * Called in the handler's transaction, for commands that carry `commandid`. A repeated command gets the reply that
 * was given first. A compensation whose action never came, or was refused, is answered without the handler, and
 * the action is refused if it arrives later.
 *
 * @param definition of the command's contract
 * @param answer runs the handler and addresses its reply
 * @returns the reply to publish in the same transaction
 * @throws PermanentError `COMMAND_ID_INVALID`: the extensions are not those of a saga's command; nothing was done
 * @throws whatever `answer` throws; the transaction must be rolled back
 */
export async function guardCommand<Tx>(
  parts: GuardParts<Tx>,
  tx: Tx,
  message: Message,
  definition: ContractDefinition,
  answer: () => Promise<Publication>,
): Promise<Publication> {
  const { sagaid, commandid, actionid } = message.attributes
  if (!isUuid(sagaid) || !isUuid(commandid) || (actionid !== undefined && !isUuid(actionid))) throw invalidIds(message)
  const guarded = { participants: parts.participants, tx, definition, sagaId: sagaid, commandId: commandid, answer }
  return actionid === undefined ? guardAction(guarded) : guardCompensation(guarded, actionid, refusals(message))
}

async function guardAction<Tx>(guarded: Guarded<Tx>): Promise<Publication> {
  const { participants, tx, commandId } = guarded
  const row = await participants.enter(tx, commandId, 'applied')
  if (row === undefined) return run(guarded, commandId, 'action')
  return row.state === 'cancelled' ? settled(guarded, 'cancelled') : again(guarded, row.reply)
}

async function guardCompensation<Tx>(guarded: Guarded<Tx>, actionId: string, refusedBy: readonly string[]): Promise<Publication> {
  const { participants, tx } = guarded
  const row = await participants.enter(tx, actionId, 'cancelled')
  if (row === undefined || row.state === 'cancelled') return settled(guarded, 'nothing to compensate')
  if (row.compensationReply !== null) return again(guarded, row.compensationReply)
  // An action that said "no" has no effect: undoing it would invent one.
  if (row.reply !== null && refusedBy.includes(row.reply.name)) return settled(guarded, 'nothing to compensate')
  return run(guarded, actionId, 'compensation')
}

async function run<Tx>(guarded: Guarded<Tx>, actionId: string, which: 'action' | 'compensation'): Promise<Publication> {
  const reply = await guarded.answer()
  const { definition, data } = reply.message
  await guarded.participants.keepReply(guarded.tx, actionId, which, {
    name: definition.name,
    version: definition.version,
    topic: reply.topic ?? definition.topic,
    value: encodePayload(definition, data),
  })
  return reply
}

function again<Tx>(guarded: Guarded<Tx>, stored: StoredReply | null): Publication {
  if (stored === null) {
    const text = `Command ${guarded.commandId} was applied here, but its reply was not kept. Look at the row in trunkline.saga_participant, and settle the saga by hand.`
    throw new StuckError('PARTICIPANT_REPLY_MISSING', text, { commandId: guarded.commandId })
  }
  const contract = [...replyContracts(guarded.definition), CommandSettled].find((known) => known.definition.name === stored.name)
  if (contract === undefined) throw unknownReply(guarded.definition, stored)
  const { definition } = contract
  return addressed(guarded, { name: stored.name, data: decodePayload(definition, stored.value), definition }, stored.topic)
}

/** The guard's own answer goes where the command's replies go. */
function settled<Tx>(guarded: Guarded<Tx>, outcome: 'nothing to compensate' | 'cancelled'): Publication {
  const [first] = replyContracts(guarded.definition)
  if (first === undefined) throw noReplies(guarded.definition)
  return addressed(guarded, CommandSettled({ outcome }), first.definition.topic)
}

function addressed<Tx>(guarded: Guarded<Tx>, message: Outgoing, topic: string): Publication {
  return { message, topic, key: guarded.sagaId, attributes: { sagaid: guarded.sagaId, commandid: guarded.commandId } }
}

function replyContracts(definition: ContractDefinition): readonly AnyContract[] {
  return definition.replyContracts?.() ?? []
}

function invalidIds(message: Message): PermanentError {
  const text = `${message.type} ${message.id} from ${message.source} carries "commandid" but its "sagaid", "commandid" or "actionid" is not a UUID, so it cannot be told whether it was applied before. Send saga commands with Trunkline, or without these extensions.`
  return new PermanentError('COMMAND_ID_INVALID', text, { type: message.type, id: message.id })
}

function noReplies(definition: ContractDefinition): ConfigurationError {
  const text = `Command ${definition.name} declares no reply contract, so nobody can be told what became of it. Add "replies" to its schema and run "trunkline schema generate".`
  return new ConfigurationError('COMMAND_WITHOUT_REPLY', text, { type: definition.name })
}

function unknownReply(definition: ContractDefinition, stored: StoredReply): ConfigurationError {
  const text = `Command ${definition.name} was answered with ${stored.name}.v${stored.version}, which its contract no longer lists. Put the reply back until no saga can ask again.`
  return new ConfigurationError('REPLY_CONTRACT_MISSING', text, { type: definition.name, reply: stored.name })
}

import { backoffMs } from '../../foundation/backoff.ts'
import { messageOf, PermanentError } from '../../foundation/errors.ts'
import { nameId } from '../../foundation/ids.ts'
import type { Outgoing } from '../contract/contract.ts'
import { COMMAND_SETTLED, type GraphStep, type ReplyData, type SagaGraph } from './graph.ts'

/** A compensation is never given up lightly: nobody but a person can take over. */
export const COMPENSATION_ATTEMPTS = 10

/** Windows between attempts double up to here, from the pivot on and for compensations. */
const WINDOW_MS_MAX = 15 * 60_000

export type SagaStatus = 'running' | 'compensating' | 'completed' | 'compensated' | 'stuck'

/** `unknown`: no reply came; the step may have been applied. */
export type StepStatus = 'pending' | 'done' | 'failed' | 'unknown'

export type Direction = 'action' | 'compensation'

/** The sending of one command, under one id for all its attempts. */
export interface CommandRun<Status extends string> {
  readonly status: Status
  readonly commandId: string
  /** The command's full name. */
  readonly command: string
  /** Counts from 1. */
  readonly attempt: number
}

/** One step of one instance, from its start on. */
export interface StepRun extends CommandRun<StepStatus> {
  readonly name: string
  readonly compensation: CommandRun<'pending' | 'done' | 'failed'> | null
}

/** One run of a saga: all that is needed to go on. */
export interface SagaInstance {
  readonly id: string
  /** The business key, unique per saga. */
  readonly key: string
  readonly status: SagaStatus
  /** Why it compensates or is stuck. */
  readonly reason: string | null
  /** The user's own. */
  readonly state: unknown
  /** In the order in which they were started. */
  readonly steps: readonly StepRun[]
}

export type SagaInput =
  | { readonly kind: 'started' }
  | ({ readonly kind: 'reply'; readonly commandId: string } & ReplyData)
  /** The window of the pending command is over. */
  | { readonly kind: 'timer' }

export type IgnoredReason = 'duplicate' | 'late' | 'unknown'

export type SagaEffect =
  | {
      readonly kind: 'send'
      readonly message: Outgoing
      readonly step: string
      readonly direction: Direction
      readonly commandId: string
      /** Of a compensation: the command id that it undoes. */
      readonly actionId: string | null
      readonly attempt: number
      /** A timer input follows unless the reply comes within this. */
      readonly replyWithinMs: number
    }
  | { readonly kind: 'ignored'; readonly reason: IgnoredReason }

export interface Transition {
  readonly instance: SagaInstance
  readonly effects: readonly SagaEffect[]
}

/** @returns an instance that has not begun; feed it `{ kind: 'started' }` */
export function newInstance(graph: SagaGraph, key: string, state: unknown): SagaInstance {
  return { id: instanceId(graph.name, key), key, status: 'running', reason: null, state, steps: [] }
}

/** The same saga and key give the same id, for ever. */
export function instanceId(saga: string, key: string): string {
  return nameId(`${saga}/${key}`)
}

/** The same for every attempt; the number of the iteration is 1 until a step can be run more than once. */
export function commandId(sagaId: string, step: string, direction: Direction): string {
  return nameId(`${step}/${direction}/1`, sagaId)
}

/**
 * What a saga does next. Pure: no clock, no store, no randomness; the same input gives the same answer.
 *
 * A reply is applied only to the pending command with its id; every other one is `ignored` and changes nothing.
 * At most one command is sent, and at most one is pending afterwards.
 *
 * @throws PermanentError `SAGA_STEP_FAILED`: a function of the definition threw; nothing was changed
 */
export function transition(graph: SagaGraph, instance: SagaInstance, input: SagaInput): Transition {
  switch (input.kind) {
    case 'started':
      return instance.steps.length === 0 ? goForward(graph, instance) : ignored(instance, 'duplicate')
    case 'reply':
      return applyReply(graph, instance, input)
    case 'timer':
      return applyTimer(graph, instance)
  }
}

function goForward(graph: SagaGraph, instance: SagaInstance): Transition {
  const step = graph.steps[instance.steps.length]
  if (step === undefined) return settled({ ...instance, status: 'completed', reason: null })
  const message = make(graph, step, 'action', instance.state)
  const run: StepRun = {
    name: step.name,
    status: 'pending',
    commandId: commandId(instance.id, step.name, 'action'),
    command: message.name,
    attempt: 1,
    compensation: null,
  }
  return sent({ ...instance, status: 'running', reason: null, steps: [...instance.steps, run] }, step, run, message)
}

/** Undoes one step, the latest first; the next waits until this one is answered. */
function goBack(graph: SagaGraph, instance: SagaInstance, reason: string | null): Transition {
  const run = instance.steps.findLast((candidate) => needsCompensation(graph, candidate))
  if (run === undefined) return settled({ ...instance, status: 'compensated', reason })
  const step = stepOf(graph, run.name)
  const message = make(graph, step, 'compensation', instance.state)
  const compensation = {
    status: 'pending' as const,
    commandId: commandId(instance.id, step.name, 'compensation'),
    command: message.name,
    attempt: 1,
  }
  const next = { ...run, compensation }
  return sent(withRun({ ...instance, status: 'compensating', reason }, next), step, next, message)
}

/** What was refused has no effect; what is unknown may have one. */
function needsCompensation(graph: SagaGraph, run: StepRun): boolean {
  if (run.compensation !== null || (run.status !== 'done' && run.status !== 'unknown')) return false
  return stepOf(graph, run.name).compensated
}

function applyReply(graph: SagaGraph, instance: SagaInstance, reply: ReplyData & { commandId: string }): Transition {
  const run = instance.steps.find((candidate) => candidate.commandId === reply.commandId)
  if (run !== undefined) {
    if (!answers(graph, run.command, reply)) return ignored(instance, 'unknown')
    if (run.status === 'pending') return applyAnswer(graph, instance, run, reply)
    return ignored(instance, run.status === 'unknown' ? 'late' : 'duplicate')
  }
  const undone = instance.steps.find((candidate) => candidate.compensation?.commandId === reply.commandId)
  if (!undone?.compensation || !answers(graph, undone.compensation.command, reply)) return ignored(instance, 'unknown')
  if (undone.compensation.status !== 'pending') return ignored(instance, 'duplicate')
  return applyCompensationAnswer(graph, instance, undone, undone.compensation, reply)
}

function applyAnswer(graph: SagaGraph, instance: SagaInstance, run: StepRun, reply: ReplyData): Transition {
  const step = stepOf(graph, run.name)
  // The only settlement that an action can get is "cancelled": it was not run and never will be.
  if (reply.name === COMMAND_SETTLED || step.refusedBy.includes(reply.name)) {
    const failed = withRun(instance, { ...run, status: 'failed' })
    const reason = `"${step.name}" was refused by ${reply.name}`
    return step.kind === 'retriable' ? stuck(failed, reason) : goBack(graph, failed, reason)
  }
  const state = fold(graph, step, instance.state, reply)
  return goForward(graph, withRun({ ...instance, state }, { ...run, status: 'done' }))
}

function applyCompensationAnswer(
  graph: SagaGraph,
  instance: SagaInstance,
  run: StepRun,
  compensation: NonNullable<StepRun['compensation']>,
  reply: ReplyData,
): Transition {
  const step = stepOf(graph, run.name)
  if (step.refusedBy.includes(reply.name)) {
    const failed = withRun(instance, { ...run, compensation: { ...compensation, status: 'failed' } })
    return stuck(failed, `${instance.reason}; then the compensation of "${step.name}" was refused by ${reply.name}`)
  }
  const undone = withRun(instance, { ...run, compensation: { ...compensation, status: 'done' } })
  return goBack(graph, undone, undone.reason)
}

function applyTimer(graph: SagaGraph, instance: SagaInstance): Transition {
  if (instance.status !== 'running' && instance.status !== 'compensating') return settled(instance)
  const run = instance.steps.find(isPending)
  if (run === undefined) return settled(instance)
  const step = stepOf(graph, run.name)
  if (run.compensation !== null) return undoAgain(graph, instance, step, run, run.compensation)
  if (run.attempt < step.attempts) {
    const next = { ...run, attempt: run.attempt + 1 }
    return sent(withRun(instance, next), step, next, make(graph, step, 'action', instance.state))
  }
  const reason = `"${step.name}" got no reply to ${run.attempt} ${run.attempt === 1 ? 'attempt' : 'attempts'}`
  // From the pivot on nothing is undone, so the command stays pending: a reply that comes after all goes on from here.
  if (step.kind !== 'compensatable') return stuck(instance, reason)
  return goBack(graph, withRun(instance, { ...run, status: 'unknown' }), reason)
}

function undoAgain(
  graph: SagaGraph,
  instance: SagaInstance,
  step: GraphStep,
  run: StepRun,
  compensation: NonNullable<StepRun['compensation']>,
): Transition {
  if (compensation.attempt >= COMPENSATION_ATTEMPTS) {
    return stuck(instance, `${instance.reason}; then the compensation of "${step.name}" got no reply to ${compensation.attempt} attempts`)
  }
  const next = { ...run, compensation: { ...compensation, attempt: compensation.attempt + 1 } }
  return sent(withRun(instance, next), step, next, make(graph, step, 'compensation', instance.state))
}

function isPending(run: StepRun): boolean {
  return run.compensation === null ? run.status === 'pending' : run.compensation.status === 'pending'
}

function answers(graph: SagaGraph, command: string, reply: ReplyData): boolean {
  if (reply.name === COMMAND_SETTLED) return true
  return graph.commands.some((known) => known.name === command && known.replies.includes(reply.name))
}

function sent(instance: SagaInstance, step: GraphStep, run: StepRun, message: Outgoing): Transition {
  const { commandId, attempt } = run.compensation ?? run
  const direction = run.compensation === null ? 'action' : 'compensation'
  const actionId = run.compensation === null ? null : run.commandId
  const replyWithinMs = windowMs(step, direction, attempt)
  const effect = { kind: 'send', message, step: step.name, direction, commandId, actionId, attempt, replyWithinMs } as const
  return { instance, effects: [effect] }
}

/** Before the pivot the user is waiting for a decision; from there on, patience costs nothing. */
function windowMs(step: GraphStep, direction: Direction, attempt: number): number {
  if (direction === 'action' && step.kind === 'compensatable') return step.timeoutMs
  return backoffMs(attempt, { minMs: step.timeoutMs, maxMs: Math.max(step.timeoutMs, WINDOW_MS_MAX), jitter: 0 })
}

function settled(instance: SagaInstance): Transition {
  return { instance, effects: [] }
}

function stuck(instance: SagaInstance, reason: string): Transition {
  return settled({ ...instance, status: 'stuck', reason })
}

function ignored(instance: SagaInstance, reason: IgnoredReason): Transition {
  return { instance, effects: [{ kind: 'ignored', reason }] }
}

function withRun(instance: SagaInstance, run: StepRun): SagaInstance {
  return { ...instance, steps: instance.steps.map((known) => (known.name === run.name ? run : known)) }
}

function stepOf(graph: SagaGraph, name: string): GraphStep {
  const step = graph.steps.find((candidate) => candidate.name === name)
  if (step !== undefined) return step
  throw new PermanentError(
    'SAGA_STEP_FAILED',
    `Saga "${graph.name}" version ${graph.version} has no step "${name}", but a stored instance has. Register the definition that started it.`,
    { saga: graph.name, step: name },
  )
}

function make(graph: SagaGraph, step: GraphStep, direction: Direction, state: unknown): Outgoing {
  const message = guarded(graph, step, direction, () => step[direction === 'action' ? 'command' : 'compensation']?.(state))
  if (message !== undefined && graph.commands.some((command) => command.name === message.name)) return message
  throw failed(
    graph,
    step,
    `its ${direction} gave ${message === undefined ? 'no command' : `"${message.name}", which "commands" does not list`}`,
  )
}

function fold(graph: SagaGraph, step: GraphStep, state: unknown, reply: ReplyData): unknown {
  return guarded(graph, step, 'onReply', () => step.onReply(state, { name: reply.name, data: reply.data }))
}

function guarded<Result>(graph: SagaGraph, step: GraphStep, what: string, run: () => Result): Result {
  try {
    return run()
  } catch (error) {
    throw failed(graph, step, `its ${what} threw: ${messageOf(error)}`, error)
  }
}

function failed(graph: SagaGraph, step: GraphStep, what: string, cause?: unknown): PermanentError {
  const text = `Step "${step.name}" of saga "${graph.name}" cannot go on: ${what}. The instance is as it was; mend the definition, then redrive.`
  return new PermanentError('SAGA_STEP_FAILED', text, { saga: graph.name, step: step.name }, cause)
}

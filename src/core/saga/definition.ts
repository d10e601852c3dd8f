import { z } from 'zod'
import { type Duration, duration } from '../../foundation/duration.ts'
import { ConfigurationError, PermanentError } from '../../foundation/errors.ts'
import { parseOptions } from '../../foundation/options.ts'
import type { AnyContract, Message, Outgoing } from '../contract/contract.ts'
import { type GraphStep, graphHash, type ReplyData, type SagaGraph, type StepKind } from './graph.ts'

/** What `backbone.saga` takes: the graph, and how an instance begins. */
export interface SagaDefinition<State = unknown> {
  readonly graph: SagaGraph
  readonly startedBy: AnyContract
  readonly commands: readonly AnyContract[]
  /** @returns the business key. @throws PermanentError `SAGA_KEY_MISSING`: it is no text, or an empty one */
  keyOf(message: Message): string
  stateOf(message: Message): State
}

export interface SagaHead<Start extends AnyContract, Command extends AnyContract, State> {
  /** Counts up when steps are added, removed or change their kind. */
  readonly version: number
  /** A message of this contract starts an instance. */
  readonly startedBy: Start
  /** Every command that the steps may send; their contracts say which replies the saga must read. */
  readonly commands: readonly Command[]
  /** The business key: one instance for each; a second start is a no-op. */
  readonly key: (message: Start['message']) => string
  /** The state at the start: plain data, with `Date`, `bigint` and `Buffer` allowed. */
  readonly state: (message: Start['message']) => State
}

/** What can be sent, one member for each command. */
type Sendable<Command extends AnyContract> = Command extends AnyContract
  ? Outgoing<Command['message']['name'], Command['message']['data']>
  : never

/** The replies of the command with that name. */
type ReplyOf<Command extends AnyContract, Name extends string> = Command extends AnyContract
  ? Command['message']['name'] extends Name
    ? Command['reply']
    : never
  : never

type NameOf<Reply> = Reply extends { readonly name: infer Name extends string } ? Name : never

/** As a step's `onReply` gets it: told apart by `name`. */
type Answer<Reply> = Reply extends Outgoing<infer Name, infer Data> ? { readonly name: Name; readonly data: Data } : never

type Refusal<Command extends AnyContract, Name extends string> = AnyContract & {
  readonly message: { readonly name: NameOf<ReplyOf<Command, Name>> }
}

interface SendOptions<State, Command extends AnyContract, Sent extends Sendable<Command>> {
  /** Pure: it runs again for every attempt. */
  readonly command: (state: State) => Sent
  /** How long one attempt waits for its reply. Default '30s'; from the pivot on it doubles with every attempt, up to 15 minutes. */
  readonly timeout?: Duration
  /** How often the command is sent, always under the same command id. Default 3 before the pivot, 10 from there on. */
  readonly attempts?: number
  /** Folds the reply into the state. Pure. Default: the state stays. */
  readonly onReply?: (state: State, reply: Answer<ReplyOf<Command, Sent['name']>>) => State
}

export interface PivotOptions<State, Command extends AnyContract, Sent extends Sendable<Command>>
  extends SendOptions<State, Command, Sent> {
  /** The replies that mean "no": the steps before are compensated. */
  readonly refusedBy?: readonly Refusal<Command, Sent['name']>[]
}

export interface StepOptions<State, Command extends AnyContract, Sent extends Sendable<Command>, Undo extends Sendable<Command>>
  extends SendOptions<State, Command, Sent> {
  /** Undoes the step, also when its outcome is unknown; `'none'` says that there is nothing to undo. */
  readonly compensation: ((state: State) => Undo) | 'none'
  /** The replies that mean "no". Of the command: the steps before are compensated, this one is not. Of the compensation: the saga is stuck. */
  readonly refusedBy?: readonly Refusal<Command, Sent['name'] | Undo['name']>[]
}

/**
 * Defines a saga, step by step; what every call returns is a definition that can be registered.
 *
 * Before the pivot every step says how it is undone. The pivot decides: it and what follows is never
 * compensated, but sent until it succeeds.
 *
 * @throws ConfigurationError `SAGA_INVALID`, `OPTION_INVALID`: says what is wrong with the definition
 */
export function saga<Start extends AnyContract, Command extends AnyContract, State>(
  name: string,
  head: SagaHead<Start, Command, State>,
): SagaHeadBuilder<State, Command> {
  const options = parseOptions(headOptions, head, `saga('${name}')`)
  if (!/^[a-z][a-z0-9-]{0,63}$/.test(name)) throw invalid(name, 'its name must be lower-case letters, digits and dashes')
  for (const command of head.commands) {
    const { kind, name: full, replies } = command.definition
    if (kind !== 'command') throw invalid(name, `"${full}" under "commands" is ${kind === 'event' ? 'an event' : 'a reply'}, not a command`)
    if (replies.length === 0)
      throw invalid(name, `command "${full}" declares no reply, so the saga could never go on; add "replies" to its schema`)
  }
  const frame: Frame<State> = {
    name,
    version: options.version,
    startedBy: head.startedBy,
    commands: head.commands,
    // The pipeline gives messages decoded for the contract that was subscribed.
    key: (message) => head.key(message as Start['message']),
    state: (message) => head.state(message as Start['message']),
  }
  return new Definition<State, Command>(frame, [])
}

/** A saga without a step: not yet a definition. */
export type SagaHeadBuilder<State, Command extends AnyContract> = Pick<SagaBuilder<State, Command>, 'step' | 'pivot'>

/** A definition whose pivot is still to come, if it has one. */
export interface SagaBuilder<State, Command extends AnyContract> extends SagaDefinition<State> {
  /** Adds a step that can be undone. */
  step<Sent extends Sendable<Command>, Undo extends Sendable<Command> = never>(
    name: string,
    options: StepOptions<State, Command, Sent, Undo>,
  ): SagaBuilder<State, Command>

  /** Adds the step that decides: once it is done, the saga goes forward only. */
  pivot<Sent extends Sendable<Command>>(name: string, options: PivotOptions<State, Command, Sent>): DecidedSaga<State, Command>
}

/** A definition that has its pivot. */
export interface DecidedSaga<State, Command extends AnyContract> extends SagaDefinition<State> {
  /** Adds a step that is sent until it succeeds. */
  step<Sent extends Sendable<Command>>(name: string, options: SendOptions<State, Command, Sent>): DecidedSaga<State, Command>
}

interface Frame<State> {
  readonly name: string
  readonly version: number
  readonly startedBy: AnyContract
  readonly commands: readonly AnyContract[]
  readonly key: (message: Message) => unknown
  readonly state: (message: Message) => State
}

/** Serves both interfaces: which of them the caller sees decides what compiles, the graph decides what runs. */
class Definition<State, Command extends AnyContract> implements SagaBuilder<State, Command> {
  readonly graph: SagaGraph
  readonly startedBy: AnyContract
  readonly commands: readonly AnyContract[]
  readonly #frame: Frame<State>

  constructor(frame: Frame<State>, steps: readonly GraphStep[]) {
    this.#frame = frame
    this.startedBy = frame.startedBy
    this.commands = frame.commands
    const commands = frame.commands.map(({ definition }) => ({ name: definition.name, replies: definition.replies }))
    const graph = { name: frame.name, version: frame.version, steps, commands }
    this.graph = { ...graph, hash: graphHash(graph) }
  }

  step(name: string, options: object): Definition<State, Command> {
    const decided = this.graph.steps.some((step) => step.kind === 'pivot')
    return this.#with(name, decided ? 'retriable' : 'compensatable', options)
  }

  pivot(name: string, options: object): Definition<State, Command> {
    if (this.graph.steps.some((step) => step.kind === 'pivot'))
      throw invalid(this.graph.name, `"${name}" is its second pivot; a saga decides once`)
    return this.#with(name, 'pivot', options)
  }

  keyOf(message: Message): string {
    const key = this.#frame.key(message)
    if (typeof key === 'string' && key !== '') return key
    throw new PermanentError(
      'SAGA_KEY_MISSING',
      `Saga "${this.graph.name}" cannot start on ${message.type}: its "key" gave ${key === '' ? 'an empty text' : `a value of type ${typeof key}`}. ` +
        'Give a text that names the business process.',
      { saga: this.graph.name, type: message.type },
    )
  }

  stateOf(message: Message): State {
    return this.#frame.state(message)
  }

  #with(name: string, kind: StepKind, options: object): Definition<State, Command> {
    const { steps } = this.graph
    if (!/^[a-z][a-zA-Z0-9-]{0,63}$/.test(name))
      throw invalid(this.graph.name, `step "${name}" must be named with letters, digits and dashes, a lower-case letter first`)
    if (steps.some((step) => step.name === name)) throw invalid(this.graph.name, `it has two steps named "${name}"`)
    return new Definition(this.#frame, [
      ...steps,
      toStep(name, kind, options, `saga('${this.graph.name}').${kind === 'pivot' ? 'pivot' : 'step'}('${name}')`),
    ])
  }
}

function toStep(name: string, kind: StepKind, input: object, where: string): GraphStep {
  const options = parseOptions(stepOptions[kind], input, where)
  const refusedBy = (options.refusedBy ?? []).map((contract) => contract.definition.name)
  if (refusedBy.join().length > REFUSED_BY_MAX) {
    throw new ConfigurationError(
      'SAGA_INVALID',
      `${where}: the names under "refusedBy" exceed ${REFUSED_BY_MAX} characters together; they travel with the compensation. List fewer.`,
    )
  }
  const compensation = typeof options.compensation === 'function' ? options.compensation : undefined
  return {
    name,
    kind,
    timeoutMs: options.timeout,
    attempts: options.attempts,
    refusedBy,
    compensated: compensation !== undefined,
    command: options.command,
    compensation,
    onReply: options.onReply ?? keepState,
  }
}

function keepState(state: unknown): unknown {
  return state
}

function invalid(name: string, what: string): ConfigurationError {
  return new ConfigurationError('SAGA_INVALID', `Saga "${name}": ${what}.`, { saga: name })
}

/** The limit of one CloudEvents extension. */
const REFUSED_BY_MAX = 256

const headOptions = z.strictObject({
  version: z.int().min(1),
  startedBy: aContract(),
  commands: z.array(aContract()).min(1),
  key: aFunction<(message: unknown) => unknown>('the business key'),
  state: aFunction<(message: unknown) => unknown>('the first state'),
})

const sendOptions = z.strictObject({
  command: aFunction<GraphStep['command']>('the command'),
  timeout: duration({ min: '1ms', max: '30d' }).prefault('30s'),
  attempts: z.int().min(1).max(1_000).default(10),
  onReply: aFunction<(state: unknown, reply: ReplyData) => unknown>('the next state').optional(),
  refusedBy: z
    .undefined({ error: 'a step after the pivot is sent until it succeeds; move it before the pivot, or leave this out' })
    .optional(),
  compensation: z.undefined({ error: 'the pivot and what follows is never compensated; leave this out' }).optional(),
})

const pivotOptions = sendOptions.extend({ refusedBy: z.array(aContract()).default([]) })

const stepOptions = {
  retriable: sendOptions,
  pivot: pivotOptions,
  compensatable: pivotOptions.extend({
    attempts: z.int().min(1).max(1_000).default(3),
    compensation: z.union([aFunction<GraphStep['command']>('the compensation'), z.literal('none')], {
      error: "a step before the pivot says how it is undone: a function, or 'none' when there is nothing to undo",
    }),
  }),
} as const

function aContract() {
  return z.custom<AnyContract>((value) => typeof value === 'function' && 'definition' in value, { error: 'expected a generated contract' })
}

function aFunction<Signature>(made: string) {
  return z.custom<Signature>((value) => typeof value === 'function', { error: `expected a function that gives ${made}` })
}

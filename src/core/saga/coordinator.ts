import { ConfigurationError, errorName, StuckError } from '../../foundation/errors.ts'
import type { AnyHandler } from '../consume/subscription.ts'
import { CommandSettled } from '../contract/command-settled.ts'
import type { AnyContract, Message } from '../contract/contract.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import type { TransactionalIncidentLog } from '../incident.ts'
import type { Publication } from '../outbox/publication.ts'
import { commandAttributes, isUuid } from './command-attributes.ts'
import type { SagaDefinition } from './definition.ts'
import type { SagaGraph } from './graph.ts'
import type { ClaimedSaga, HistoryEntry, RunnableSaga, SagaChange, SagaStore, StoredSaga, TimerChange } from './saga-store.ts'
import { instanceId, newInstance, type SagaEffect, type SagaInput, type SagaInstance, type SagaStatus, transition } from './transition.ts'

/** How a saga's commands leave: the backbone's own publisher fits. */
export interface SagaPublisher<Tx> {
  publish(tx: Tx, publications: readonly Publication[]): Promise<void>
}

export interface CoordinatorParts<Tx> {
  readonly store: SagaStore<Tx>
  readonly publisher: SagaPublisher<Tx>
  readonly incidents: TransactionalIncidentLog<Tx>
  readonly diagnostics: BackboneDiagnostics
}

/** A saga cannot go on now (its definition is not here, or one of its functions throws): its timer fires again after this. */
export const POSTPONE_MS = 60_000

/** An instance whose timer could not be applied. */
export interface PostponedSaga {
  readonly saga: string
  readonly id: string
  /** The error's code or name. */
  readonly reason: string
}

/** One input of one instance, and where it came from. */
interface Arrival {
  readonly input: SagaInput
  readonly messageId: string | undefined
}

interface Origin {
  readonly correlationId: string
  readonly messageId: string | undefined
}

interface Step {
  /** The status before; `new` at the start. */
  readonly from: string
  readonly change: SagaChange
  readonly publications: readonly Publication[]
  readonly ignored: string | undefined
}

type SendEffect = Extract<SagaEffect, { kind: 'send' }>

/**
 * Runs the instances of one saga: lock, fold through `transition`, save, publish, all in the caller's transaction.
 *
 * Messages and timers go through the same door. The row lock of the instance decides who is first; no owner, no lease.
 */
export class SagaCoordinator<Tx> {
  readonly name: string
  /** What the saga's group subscribes to: the start, and every reply to its commands. */
  readonly contracts: readonly AnyContract[]
  readonly runnable: readonly RunnableSaga[]
  readonly #parts: CoordinatorParts<Tx>
  readonly #definitions: readonly SagaDefinition[]
  readonly #newest: SagaDefinition

  /**
   * @param definitions the versions of one saga that this process can run; new instances take the highest
   * @throws ConfigurationError `SAGA_INVALID`: they do not fit together
   */
  constructor(parts: CoordinatorParts<Tx>, definitions: readonly SagaDefinition[]) {
    this.#parts = parts
    this.#definitions = definitions
    this.#newest = newestOf(definitions)
    this.name = this.#newest.graph.name
    this.contracts = contractsOf(definitions)
    this.runnable = definitions.map(({ graph }) => ({ name: graph.name, version: graph.version }))
  }

  /** The consumer group of the saga in that service. */
  groupOf(service: string): string {
    return `${service}.${this.name}`
  }

  /** Handles whatever the group of the saga receives; every contract of {@link contracts} takes it. */
  readonly handler: AnyHandler<Tx> = (message, { tx }) => this.receive(tx, message)

  /**
   * Starts an instance or applies a reply.
   *
   * @throws PermanentError a function of the definition threw; @throws StuckError the instance needs a definition that
   *   is not registered. Roll back: the message must be kept
   */
  async receive(tx: Tx, message: Message): Promise<void> {
    if (message.name === this.#newest.startedBy.definition.name) {
      const { correlationId, id } = message
      await this.#start(tx, this.#newest.keyOf(message), this.#newest.stateOf(message), { correlationId, messageId: id })
      return
    }
    const { sagaid, commandid } = message.attributes
    // What is no id is any text of a stranger's.
    if (!isUuid(sagaid) || commandid === undefined) return this.#ignore('', 'no saga')
    const [saga] = await this.#parts.store.lock(tx, this.name, [sagaid])
    if (saga === undefined) return this.#ignore(sagaid, 'no instance')
    const input = { kind: 'reply', commandId: commandid, name: message.name, data: message.data } as const
    const step = this.#advance(saga, { input, messageId: message.id })
    await this.#parts.publisher.publish(tx, step.publications)
    await this.#save(tx, [step])
  }

  /**
   * Starts an instance with a state of its own, inside the caller's transaction.
   *
   * @param options.id the business key
   * @returns whether it is new; the same id twice is a no-op
   */
  startSaga(tx: Tx, state: unknown, options: { readonly id: string; readonly correlationId?: string }): Promise<boolean> {
    const correlationId = options.correlationId ?? instanceId(this.name, options.id)
    return this.#start(tx, options.id, state, { correlationId, messageId: undefined })
  }

  /**
   * Applies timers to instances that `claimDue` has locked. One that cannot go on does not stop the others: it stays
   * as it was, is reported, and its timer fires again later.
   *
   * @returns those that cannot go on
   */
  async applyTimers(tx: Tx, claimed: readonly ClaimedSaga[]): Promise<readonly PostponedSaga[]> {
    const steps: Step[] = []
    const postponed: PostponedSaga[] = []
    for (const { saga } of claimed.filter(({ due }) => due)) {
      try {
        const step = this.#advance(saga, { input: { kind: 'timer' }, messageId: undefined })
        await this.#parts.publisher.publish(tx, step.publications)
        steps.push(step)
      } catch (error) {
        const failed = { saga: this.name, id: saga.instance.id, reason: errorName(error) }
        postponed.push(failed)
        this.#parts.diagnostics.emit('saga.timer_failed', failed)
      }
    }
    const ids = postponed.map(({ id }) => id)
    if (ids.length > 0) await this.#parts.store.postpone(tx, ids, POSTPONE_MS)
    await this.#save(tx, steps)
    return postponed
  }

  async #start(tx: Tx, key: string, state: unknown, from: Origin): Promise<boolean> {
    const { graph } = this.#newest
    const saga: StoredSaga = {
      instance: newInstance(graph, key, state),
      saga: graph.name,
      definitionVersion: graph.version,
      graphHash: graph.hash,
      version: 0,
      correlationId: from.correlationId,
    }
    const step = this.#advance(saga, { input: { kind: 'started' }, messageId: from.messageId })
    const inserted = await this.#parts.store.insert(tx, [step.change])
    if (!inserted.has(saga.instance.id)) {
      this.#ignore(saga.instance.id, 'started before')
      return false
    }
    await this.#parts.publisher.publish(tx, step.publications)
    this.#report(step)
    return true
  }

  #advance(saga: StoredSaga, arrival: Arrival): Step {
    const { graph } = this.#definitionOf(saga)
    const { instance, effects } = transition(graph, saga.instance, arrival.input)
    return {
      from: saga.version === 0 ? 'new' : saga.instance.status,
      change: {
        saga: { ...saga, instance, version: saga.version + 1 },
        history: [historyOf(arrival, effects, instance.status)],
        timer: timerAfter(effects),
      },
      publications: effects.flatMap((effect) => (effect.kind === 'send' ? [publicationOf(graph, saga, effect, arrival)] : [])),
      ignored: effects.find((effect) => effect.kind === 'ignored')?.reason,
    }
  }

  async #save(tx: Tx, steps: readonly Step[]): Promise<void> {
    if (steps.length === 0) return
    await this.#parts.store.save(
      tx,
      steps.map((step) => step.change),
    )
    for (const step of steps) {
      if (step.change.saga.instance.status === 'stuck' && step.from !== 'stuck') await this.#recordStuck(tx, step.change.saga.instance)
      this.#report(step)
    }
  }

  /** A person must act, so it is not left to a log line. */
  #recordStuck(tx: Tx, instance: SagaInstance): Promise<void> {
    const { id, key, reason } = instance
    return this.#parts.incidents.recordIn(tx, {
      kind: 'saga_stuck',
      subject: `${this.name} ${id}`,
      message: `Saga "${this.name}" ${id} is stuck: ${reason ?? 'no reason was kept'}. A late reply lets it go on; otherwise settle it by hand.`,
      details: { saga: this.name, id, key },
    })
  }

  #report(step: Step): void {
    const { id, status } = step.change.saga.instance
    if (step.ignored === undefined) this.#parts.diagnostics.emit('saga.transition', { saga: this.name, id, from: step.from, to: status })
    else this.#ignore(id, step.ignored)
  }

  #ignore(id: string, reason: string): void {
    this.#parts.diagnostics.emit('saga.ignored', { saga: this.name, id, reason })
  }

  #definitionOf(saga: StoredSaga): SagaDefinition {
    const found = this.#definitions.find(({ graph }) => graph.version === saga.definitionVersion)
    if (found !== undefined && found.graph.hash === saga.graphHash) return found
    const why =
      found === undefined
        ? `version ${saga.definitionVersion} is not registered`
        : `version ${saga.definitionVersion} has other steps now than when it started`
    throw new StuckError(
      'SAGA_DEFINITION_MISSING',
      `Saga "${this.name}" ${saga.instance.id} cannot go on: ${why}. Register that version beside the new one until its instances have ended.`,
      { saga: this.name, id: saga.instance.id, version: saga.definitionVersion, hash: saga.graphHash },
    )
  }
}

function newestOf(definitions: readonly SagaDefinition[]): SagaDefinition {
  const newest = [...definitions].sort((a, b) => b.graph.version - a.graph.version)[0]
  if (newest === undefined)
    throw new ConfigurationError('SAGA_INVALID', 'A saga needs at least one definition. Pass the result of saga(…).step(…).')
  const { name } = newest.graph
  for (const { graph } of definitions) {
    if (graph.name !== name) throw invalid(name, `it cannot share a coordinator with "${graph.name}"`)
    if (graph.steps.length === 0) throw invalid(name, 'it has no step; add .step(…)')
  }
  if (new Set(definitions.map(({ graph }) => graph.version)).size < definitions.length)
    throw invalid(name, 'two of its definitions have the same version; count one of them up')
  return newest
}

/** The start, every reply of every command, and the guard's own answer. */
function contractsOf(definitions: readonly SagaDefinition[]): readonly AnyContract[] {
  const newest = newestOf(definitions)
  const contracts = new Map([[newest.startedBy.definition.name, newest.startedBy]])
  for (const command of definitions.flatMap((definition) => definition.commands)) {
    const replies = command.definition.replyContracts?.() ?? []
    const missing = command.definition.replies.filter((name) => !replies.some((reply) => reply.definition.name === name))
    if (missing.length > 0)
      throw invalid(
        newest.graph.name,
        `the contract of "${command.definition.name}" does not carry its replies ${missing.join(', ')}; run "trunkline schema generate"`,
      )
    for (const reply of replies) contracts.set(reply.definition.name, reply)
  }
  contracts.set(CommandSettled.definition.name, CommandSettled)
  return [...contracts.values()]
}

function invalid(name: string, what: string): ConfigurationError {
  return new ConfigurationError('SAGA_INVALID', `Saga "${name}": ${what}.`, { saga: name })
}

function publicationOf(graph: SagaGraph, saga: StoredSaga, send: SendEffect, arrival: Arrival): Publication {
  const refusedBy = graph.steps.find((step) => step.name === send.step)?.refusedBy ?? []
  return {
    message: send.message,
    attributes: commandAttributes(saga.instance.id, send, refusedBy),
    correlationId: saga.correlationId,
    ...(arrival.messageId === undefined ? {} : { causationId: arrival.messageId }),
  }
}

/** At most one command is pending: the last one sent decides, and what is ignored moves nothing. */
function timerAfter(effects: readonly SagaEffect[]): TimerChange {
  const send = effects.find((effect) => effect.kind === 'send')
  if (send !== undefined) return { kind: 'after', ms: send.replyWithinMs }
  return effects.some((effect) => effect.kind === 'ignored') ? { kind: 'keep' } : { kind: 'clear' }
}

function historyOf(arrival: Arrival, effects: readonly SagaEffect[], status: SagaStatus): HistoryEntry {
  const { input, messageId } = arrival
  const reply = input.kind === 'reply' ? { name: input.name, commandId: input.commandId } : {}
  return { input: { kind: input.kind, ...reply, ...(messageId === undefined ? {} : { messageId }) }, effects: effects.map(factsOf), status }
}

function factsOf(effect: SagaEffect): HistoryEntry['effects'][number] {
  if (effect.kind === 'ignored') return effect
  const { kind, step, direction, commandId, attempt, message } = effect
  return { kind, step, direction, commandId, attempt, command: message.name }
}

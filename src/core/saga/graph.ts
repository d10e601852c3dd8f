import { createHash } from 'node:crypto'
import type { Outgoing } from '../contract/contract.ts'

/** The full name of the participant guard's own answer, which every command may get. */
export const COMMAND_SETTLED = 'trunkline.CommandSettled'

/** The answer to a command, as a step sees it. */
export interface ReplyData {
  readonly name: string
  readonly data: unknown
}

/**
 * How a step stands to the pivot: what comes before it can be undone, the pivot decides, and what comes
 * after it is sent until it succeeds.
 */
export type StepKind = 'compensatable' | 'pivot' | 'retriable'

/** One step: facts that can be stored and compared, and the pure functions that go with them. */
export interface GraphStep {
  readonly name: string
  readonly kind: StepKind
  /** How long one attempt waits for its reply. */
  readonly timeoutMs: number
  /** How often the command is sent before the step is given up. */
  readonly attempts: number
  /** The full names of the replies that mean "no". */
  readonly refusedBy: readonly string[]
  /** Whether there is something to undo. */
  readonly compensated: boolean
  readonly command: (state: unknown) => Outgoing
  readonly compensation: ((state: unknown) => Outgoing) | undefined
  readonly onReply: (state: unknown, reply: ReplyData) => unknown
}

/** A command that the saga may send, and the full names of its possible replies. */
export interface GraphCommand {
  readonly name: string
  readonly replies: readonly string[]
}

/**
 * A saga as data: `JSON.stringify` gives everything but the functions, which stand beside the facts so that
 * `transition` needs nothing else.
 */
export interface SagaGraph {
  readonly name: string
  readonly version: number
  readonly steps: readonly GraphStep[]
  readonly commands: readonly GraphCommand[]
  /** Of the structure: a running instance can go on exactly where the hash is the same. */
  readonly hash: string
}

/**
 * Timeouts and attempts are left out: changing them is safe for instances that are under way, and must not
 * need a new version.
 */
export function graphHash(graph: Omit<SagaGraph, 'hash'>): string {
  const steps = graph.steps.map((step) => [step.name, step.kind, step.compensated, [...step.refusedBy].sort()])
  const commands = graph.commands.map((command) => [command.name, [...command.replies].sort()])
  const structure = JSON.stringify([graph.name, graph.version, steps, commands.sort(byName)])
  return createHash('sha256').update(structure).digest('hex').slice(0, 16)
}

function byName(a: readonly unknown[], b: readonly unknown[]): number {
  return String(a[0]) < String(b[0]) ? -1 : 1
}

import type { TopicState } from './log-admin.ts'
import type { TopicSpec } from './topic-plan.ts'

/** What a service remembers of a topic. */
export interface TopicMemory {
  /** The count with which its keys are hashed. */
  readonly hashedWith: number | undefined
  /** Why the topic must be another one than it was; `undefined` when nothing speaks for it. */
  readonly recreated: string | undefined
}

/**
 * One difference between a topic as code and as it is.
 *
 * - `create`, `change`: done by `topic apply`.
 * - `raise`: done by it only when asked for, because keys move to other partitions.
 * - `report`: never done by us.
 */
export type TopicDifference =
  | { readonly kind: 'create'; readonly spec: TopicSpec }
  | { readonly kind: 'change'; readonly setting: string; readonly from: string | null; readonly to: string }
  | { readonly kind: 'raise'; readonly from: number; readonly to: number }
  | { readonly kind: 'report'; readonly what: string; readonly todo: string }

export interface TopicPlan {
  readonly topic: string
  /** Empty when the topic is as it should be. */
  readonly differences: readonly TopicDifference[]
}

const POLICY = 'cleanup.policy'

/** Compares a topic as code with the topic as it is; settings of which the code says nothing are left alone. */
export function planTopic(spec: TopicSpec, state: TopicState | undefined, memory: TopicMemory): TopicPlan {
  if (state === undefined) return { topic: spec.name, differences: [{ kind: 'create', spec }] }
  const differences = [
    ...recreation(memory),
    ...partitionsOf(spec, state, memory),
    ...replicationOf(spec, state),
    ...policyOf(spec, state),
    ...Object.entries(spec.settings ?? {}).flatMap(([setting, to]): TopicDifference[] => {
      const from = state.settings[setting] ?? null
      return setting === POLICY || from === to ? [] : [{ kind: 'change', setting, from, to }]
    }),
  ]
  return { topic: spec.name, differences }
}

function recreation({ recreated }: TopicMemory): TopicDifference[] {
  if (recreated === undefined) return []
  const todo = 'Its groups go on as their policy for gaps says, and record an incident; make sure that nobody meant to keep what it held.'
  return [{ kind: 'report', what: `It was made again: ${recreated}.`, todo }]
}

function partitionsOf(spec: TopicSpec, state: TopicState, { hashedWith = state.partitions }: TopicMemory): TopicDifference[] {
  const has = Math.min(state.partitions, hashedWith)
  if (spec.partitions > has) return [{ kind: 'raise', from: has, to: spec.partitions }]
  if (spec.partitions < state.partitions) {
    const what = `It has ${state.partitions} partitions and should have ${spec.partitions}.`
    return [{ kind: 'report', what, todo: 'Partitions cannot be taken away: correct the configuration, or move to another topic.' }]
  }
  return []
}

function replicationOf(spec: TopicSpec, state: TopicState): TopicDifference[] {
  if (spec.replicationFactor === state.replicationFactor) return []
  const what = `Its replication factor is ${state.replicationFactor} and should be ${spec.replicationFactor}.`
  return [{ kind: 'report', what, todo: 'Move its replicas with kafka-reassign-partitions, or correct the configuration.' }]
}

function policyOf(spec: TopicSpec, state: TopicState): TopicDifference[] {
  const [wanted, has] = [spec.settings?.[POLICY], state.settings[POLICY] ?? 'delete']
  if (wanted === undefined || samePolicy(wanted, has)) return []
  const what = `Its ${POLICY} is "${has}" and should be "${wanted}".`
  return [{ kind: 'report', what, todo: 'Another policy makes records go: change it with kafka-configs when that is meant.' }]
}

function samePolicy(one: string, other: string): boolean {
  const sorted = (policy: string): string =>
    policy
      .split(',')
      .toSorted((a, b) => a.localeCompare(b))
      .join()
  return sorted(one) === sorted(other)
}

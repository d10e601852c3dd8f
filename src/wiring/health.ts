import type { Pause } from '../core/consume/pause.ts'
import type { Database } from '../core/database/database.ts'
import type { PartHealth } from '../core/health.ts'
import type { Relay } from '../core/outbox/relay.ts'
import type { SagaTimers } from '../core/saga/timers.ts'
import type { GroupServices } from './consume.ts'
import type { KafkaAnswer } from './kafka-answer.ts'

/** What runs, as far as it was asked for. */
export interface RunningParts<Tx extends object> {
  readonly database: Database<Tx>
  readonly relay: Relay | undefined
  readonly timers: SagaTimers<Tx> | undefined
  readonly groups: readonly GroupServices<Tx>[]
  readonly pause: Pause
  readonly kafka: KafkaAnswer
}

/** How each part is doing. The database is asked, and Kafka where a consumer is no member of its group; neither is waited for longer than two seconds. */
export async function healthOfParts<Tx extends object>({
  database,
  relay,
  timers,
  groups,
  pause,
  kafka,
}: RunningParts<Tx>): Promise<Record<string, PartHealth>> {
  const parts: Record<string, PartHealth> = {}
  const joined = groups.every(({ consumer }) => consumer.ready)
  const [reachable, answers] = await Promise.all([database.reachable(), joined || kafka.comes()])
  parts['database'] = { ready: reachable, state: reachable ? 'reachable' : 'unreachable' }
  if (relay !== undefined) parts['relay'] = { ready: relay.ready, state: relay.state }
  if (timers !== undefined) parts['timers'] = { ready: timers.ready, state: timers.ready ? 'running' : 'without database' }
  for (const { consumer, retries } of groups) {
    parts[`consumer ${consumer.group}`] = healthOfConsumer(consumer, pause, answers)
    parts[`retries ${retries.group}`] = { ready: retries.ready, state: retries.ready ? 'running' : 'without database' }
  }
  return parts
}

/** Without Kafka it is as ready as it can be, and so is one that is paused: a person wants it so. */
function healthOfConsumer<Tx extends object>(consumer: GroupServices<Tx>['consumer'], pause: Pause, kafkaAnswers: boolean): PartHealth {
  if (!consumer.ready) return kafkaAnswers ? { ready: false, state: 'joining' } : { ready: true, state: 'waiting for Kafka' }
  return { ready: true, state: pause.isPaused(consumer.group) ? 'paused by a person' : 'member of its group' }
}

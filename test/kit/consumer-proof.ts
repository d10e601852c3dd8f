import { setTimeout as pause } from 'node:timers/promises'
import type { FailpointName } from './failpoints.ts'
import type { Plan } from './plan.ts'
import { Random } from './random.ts'
import type { Run } from './run.ts'
import { type Faults, Tally } from './tally.ts'
import { until } from './wait.ts'

/** Of each seed, at each point; five seeds are 200. */
const KILLS = 40
const KEYS = 8
const MESSAGES_A_KEY = 4
/** Sixteen consumers begin at once. */
const END_WITHIN_MS = 300_000
const drivers = ['kafkajs', 'platformatic'] as const
const modes: [Mode, ...Mode[]] = ['batch', 'batch', 'interleave', 'message']
/** One of twenty fails once, so that its key is parked beside what else happens. */
const notes: [string, ...string[]] = ['fails 1', ...Array.from({ length: 19 }, () => '')]

type Mode = NonNullable<Plan['mode']>

/** Every point between two awaits of a consumer, and how often it is passed at least while a kill's messages are settled. */
const awaits: readonly { readonly at: FailpointName; readonly within: number }[] = [
  { at: 'consumer.assigned', within: 3 },
  { at: 'batch.began', within: 3 },
  { at: 'batch.claimed', within: 3 },
  { at: 'delivery.started', within: 20 },
  { at: 'batch.committing', within: 3 },
  { at: 'batch.committed', within: 3 },
  { at: 'delivery.applied', within: 20 },
  { at: 'offset.committing', within: 2 },
]

/** How consumers end: in a crash, or because they are told to. */
type End = 'SIGKILL' | 'SIGTERM'

/** Where one consumer after another ends at the same point: a topic and a group that no other lane touches. */
interface Lane {
  readonly at: FailpointName
  readonly within: number
  readonly driver: (typeof drivers)[number]
  readonly topic: string
  readonly kills: number
  readonly end: End
  readonly random: Random
}

/**
 * Consumers end at every await of a batch, each one as the successor of one that ended there before it.
 *
 * The successor of one that died waits until Kafka has given it up, for its whole session. So the points, and the drivers, have
 * lanes of their own, which wait side by side, and share a database, its relay, and the processes' heartbeats.
 */
export async function endConsumers(run: Run, random: Random, end: End, kills: number = KILLS): Promise<Faults> {
  const faults = new Tally()
  // It ends by itself, and leaves compiled what those that are killed would compile each time.
  await run.spawn({}).ended()
  const lanes = await openLanes(run, random, end, kills)
  const relaying = new AbortController()
  const relays = relayTwice(run, random, relaying.signal)
  await Promise.all(lanes.map((lane) => endInTurn(run, lane, faults)))
  relaying.abort()
  faults.note('messages stand twice in the log', (await relays) > 0)
  run.spawn({ run: ['relay'], relay: { batchSize: 100 } })
  for (const { driver, topic } of lanes) run.spawn({ run: ['consume'], driver, topic, service: topic })
  await run.drained({ withinMs: END_WITHIN_MS })
  // What was alone when its process died waits for ten seconds before it is tried again.
  await run.retried(END_WITHIN_MS)
  return faults.all
}

async function openLanes(run: Run, random: Random, end: End, kills: number): Promise<readonly Lane[]> {
  const shares = drivers.map((_, index) => Math.ceil((kills - index) / drivers.length))
  const planned = awaits.flatMap((point) => drivers.map((driver, index) => ({ ...point, driver, kills: shares[index] ?? 0 })))
  // A lane's own numbers: which lane is faster must not change what another one does.
  const lanes = planned
    .filter((lane) => lane.kills > 0)
    .map((lane, index) => ({ ...lane, end, topic: `${run.servers.topic}-${index}`, random: new Random(random.between(1, 2 ** 31)) }))
  for (const { topic } of lanes) await run.openTopic(topic)
  return lanes
}

async function endInTurn(run: Run, lane: Lane, faults: Tally): Promise<void> {
  const { at, within, driver, topic, end, random } = lane
  for (let kill = 0; kill < lane.kills; kill++) {
    // Keys of its own: one that a death has parked is not passed again.
    const keys = Array.from({ length: KEYS }, (_, index) => `${at}-${driver}-${kill}-${index}`)
    const publish = async (): Promise<void> => {
      for (const key of keys) await run.publish(key, random.pick(notes), topic)
    }
    for (let round = 0; round < MESSAGES_A_KEY; round++) await publish()
    const plan = { driver, topic, service: topic, mode: random.pick(modes) }
    const worker = run.spawn({ ...plan, run: ['consume'], failpoints: [{ at, nth: random.between(1, within), act: end }] })
    await until(
      `the end at ${at} in ${topic}`,
      async () => {
        if (!worker.running) return true
        await pause(200)
        // Where it is not passed so often, it is passed when more comes.
        if (worker.lines.includes('consumer.assigned') && (await isRelayed(run, topic))) await publish()
        return false
      },
      90_000,
    )
    const { code, signal } = await worker.ended()
    faults.note(`ended at ${at}`, worker.fired(at) && (end === 'SIGKILL' ? signal === end : code === 0))
  }
}

async function isRelayed(run: Run, topic: string): Promise<boolean> {
  return (await run.query('select from trunkline.outbox where topic = $1 limit 1', [topic])).length === 0
}

/** A relay that dies between Kafka's answer and the removal of its rows, again and again: its successor sends them again. @returns how often */
async function relayTwice(run: Run, random: Random, signal: AbortSignal): Promise<number> {
  let died = 0
  while (!signal.aborted) {
    const failpoints = [{ at: 'relay.acked', nth: random.between(80, 200), act: 'SIGKILL' as const }]
    const relay = run.spawn({ run: ['relay'], relay: { batchSize: 100 }, failpoints })
    await until('its end', () => !relay.running || signal.aborted, 3_600_000)
    if (relay.fired('relay.acked')) died++
    relay.kill('SIGKILL')
    await relay.ended()
  }
  return died
}

import { createBackbone } from '../../src/index.ts'
import { endConsumers } from './consumer-proof.ts'
import { endurance } from './endurance.ts'
import type { FailpointName } from './failpoints.ts'
import { KafkaProxy } from './kafka-proxy.ts'
import { killRelays } from './outbox-proof.ts'
import type { Plan } from './plan.ts'
import { PostgresProxy } from './postgres-proxy.ts'
import type { PrivateServer } from './private-servers.ts'
import type { Random } from './random.ts'
import type { Run } from './run.ts'
import { type Faults, Tally } from './tally.ts'
import { until } from './wait.ts'
import { publishCounted } from './workload.ts'

export interface ProofSettings {
  /** How long a soak takes. */
  readonly minutes: number
  /** Of proofs that count kills, at each failpoint and in each seed. */
  readonly kills: number | undefined
}

export interface Proof {
  readonly about: string
  /** Servers of its own, which it may kill. */
  readonly owns?: 'Kafka' | 'PostgreSQL'
  /** Does its worst while messages are published and consumed, and leaves programs running that can finish the work. */
  disturb(run: Run, random: Random, own: PrivateServer | undefined, settings: ProofSettings): Promise<Faults>
}

const keys = Array.from({ length: 20 }, (_, index) => `key-${index}`)

/** Points of the relay, of a delivery and of a publisher, and how often each is passed at least in one round. */
const deadly: [{ at: FailpointName; within: number }, ...{ at: FailpointName; within: number }[]] = [
  { at: 'relay.sending', within: 4 },
  { at: 'relay.acked', within: 4 },
  { at: 'relay.removing', within: 1 },
  { at: 'relay.removed', within: 1 },
  { at: 'delivery.started', within: 60 },
  { at: 'batch.began', within: 3 },
  { at: 'batch.claimed', within: 3 },
  { at: 'batch.committing', within: 3 },
  { at: 'batch.committed', within: 3 },
  { at: 'delivery.applied', within: 60 },
  { at: 'offset.committing', within: 1 },
]

/** Points of a worker that empties parked keys. */
const deadlyForWorkers: [FailpointName, ...FailpointName[]] = [
  'retry.leased',
  'retry.committing',
  'retry.recording',
  'delivery.parked',
  'delivery.applied',
  'retry.unparking',
  'retry.unparked',
]
const notes: [string, ...string[]] = ['', '', '', 'fails 1', 'fails 2']

export const proofs: Readonly<Record<string, Proof>> = {
  ...endurance,

  parking: {
    about: 'workers of parked keys die by SIGKILL at each of their steps, beside live batches (G3, G4, G7)',
    disturb: async (run, random) => {
      const faults = new Tally()
      for (let round = 0; round < 10; round++) {
        const own = Array.from({ length: 8 }, (_, index) => `key-${round}-${index}`) as [string, ...string[]]
        // Each key is parked by its first message, so that every point is passed; a dead letter holds its key for good.
        for (const key of own) await run.publish(key, 'fails 2')
        for (let message = 0; message < 40; message++) await run.publish(random.pick(own), random.pick(notes))
        for (const note of ['poison', '']) await run.publish(own[0], note)
        const at = random.pick(deadlyForWorkers)
        const worker = run.spawn({ run: ['relay', 'consume'], failpoints: [{ at, nth: random.between(1, 3), act: 'SIGKILL' }] })
        await worker.ended(60_000)
        faults.note(`killed at ${at}`, worker.fired(at))
      }
      run.spawn({ run: ['relay', 'consume'] })
      run.spawn({ run: ['relay', 'consume'] })
      await run.drained({ withinMs: 120_000 })
      await run.retried(120_000)
      return faults.all
    },
  },

  outbox: {
    about: 'a relay is killed or frozen at each of its failpoints, 40 times a seed (G1, G2, G4, G6)',
    disturb: (run, random, _own, { kills }) => killRelays(run, random, kills),
  },

  kills: {
    about: 'workers and publishers die by SIGKILL at random points (G1–G4)',
    disturb: async (run, random) => {
      const faults = new Tally()
      for (let round = 0; round < 6; round++) {
        const publisher = run.spawn({
          publish: { messages: 120, keys, historyPath: run.historyPath },
          failpoints: [
            {
              at: random.pick(['transaction.committing', 'transaction.committed', 'publish.appended']),
              nth: random.between(60, 119),
              act: 'SIGKILL',
            },
          ],
        })
        await publisher.ended(60_000)
        faults.note(
          'publisher killed',
          publisher.lines.some((line) => line.startsWith('failpoint ')),
        )
        const { at, within } = random.pick(deadly)
        const worker = run.spawn({ run: ['relay', 'consume'], failpoints: [{ at, nth: random.between(1, within), act: 'SIGKILL' }] })
        await worker.ended(60_000)
        faults.note('worker killed', worker.fired(at))
      }
      run.spawn({ run: ['relay', 'consume'] })
      return faults.all
    },
  },

  consume: {
    about: 'consumers die by SIGKILL at every await of a batch, 40 times a seed at each, while messages stand twice in the log (G2–G4)',
    disturb: (run, random, _own, { kills }) => endConsumers(run, random, 'SIGKILL', kills),
  },

  stops: {
    about: 'consumers are told to stop at every await of a batch, 40 times a seed at each: they end in order, with code 0 (G2–G4)',
    disturb: (run, random, _own, { kills }) => endConsumers(run, random, 'SIGTERM', kills),
  },

  freezes: {
    about: 'workers freeze past their lease and session, others take over, the frozen ones wake up (G2–G4)',
    disturb: async (run, random) => {
      const faults = new Tally()
      for (let round = 0; round < 3; round++) {
        await run.publishAll(keys, 6)
        const { at, within } = random.pick(deadly)
        const frozen = run.spawn({ run: ['relay', 'consume'], failpoints: [{ at, nth: random.between(1, within), act: 'SIGSTOP' }] })
        await until('the freeze', () => frozen.fired(at), 60_000)
        faults.note('worker frozen', true)
        const successor = run.spawn({ run: ['relay', 'consume'] })
        await run.publishAll(keys, 3)
        await run.drained({ withinMs: 90_000 })
        const position = await run.count('effect')
        frozen.kill('SIGCONT')
        await run.publishAll(keys, 3)
        await until('the effects of both', async () => (await run.count('effect')) >= position + keys.length * 3, 60_000)
        for (const process of [frozen, successor]) process.kill('SIGTERM')
        await Promise.all([frozen.ended(40_000), successor.ended(40_000)])
      }
      run.spawn({ run: ['relay', 'consume'] })
      return faults.all
    },
  },

  rebalances: {
    about: 'members join and leave all the time, some by SIGKILL (G2–G4)',
    disturb: async (run, random) => {
      const faults = new Tally()
      await run.publishAll(keys, 60)
      run.spawn({ run: ['relay', 'consume'], handlerMs: 10 })
      for (let round = 0; round < 8; round++) {
        const guest = run.spawn({ run: ['consume'], handlerMs: 10 })
        await guest.says('consumer.assigned', 60_000)
        guest.kill(random.pick(['SIGTERM', 'SIGTERM', 'SIGTERM', 'SIGKILL']))
        await guest.ended(40_000)
        faults.note('member came and went', true)
      }
      return faults.all
    },
  },

  'crash-loops': {
    about:
      'a message aborts its process, one blocks its event loop, one uses up its memory: neighbours go on, all end as dead letters (G6, G7)',
    disturb: async (run) => {
      const faults = new Tally()
      await run.publishAll(keys, 4)
      await run.publish('aborting', 'aborts')
      await run.publish('blocking', 'blocks')
      await run.publish('leaking', 'leaks')
      await run.publishAll([...keys, 'aborting', 'blocking', 'leaking'], 4)
      const dead = async (): Promise<boolean> =>
        (await run.query("select from trunkline.parked_message where state = 'dead' and reason_code = 'PROCESS_ENDED'")).length === 3
      const ends: (string | null)[] = []
      while (!(await dead())) {
        const worker = run.spawn({ run: ['relay', 'consume'], supervised: true, heapMb: 48 })
        await until('the end of the program, or of its troubles', async () => !worker.running || (await dead()), 120_000)
        if (!worker.running) ends.push((await worker.ended()).signal)
      }
      // Each once alone and once in each retry; in a batch the first one ends what the other would have.
      for (let time = 0; time < 3; time++) {
        // V8 aborts too when it may take no more memory.
        faults.note('aborted, or out of memory', ends.filter((signal) => signal === 'SIGABRT').length > 2 * time + 1)
        faults.note('ended by the watchdog', ends.filter((signal) => signal === 'SIGKILL').length > time)
      }
      return faults.all
    },
  },

  rolling: {
    about: 'four workers are replaced one after another under load: at most 1 % is handled again, no effect twice (G3, G4)',
    disturb: async (run) => {
      const faults = new Tally()
      const messages = 4_000
      const publisher = run.spawn({ publish: { messages, keys, historyPath: run.historyPath } })
      const plan: Partial<Plan> = { run: ['relay', 'consume'], handlerMs: 2 }
      const spawned = [run.spawn(plan), run.spawn(plan), run.spawn(plan), run.spawn(plan)]
      await Promise.all(spawned.map((worker) => worker.says('consumer.assigned', 90_000)))
      for (const old of spawned.slice(0, 4)) {
        const effects = await run.count('effect')
        old.kill('SIGTERM')
        faults.note('worker replaced', (await old.ended()).code === 0)
        const next = run.spawn(plan)
        spawned.push(next)
        await next.says('consumer.assigned', 90_000)
        await until('more effects', async () => (await run.count('effect')) >= Math.min(messages, effects + 200), 90_000)
      }
      await publisher.says('published', 180_000)
      await run.drained({ withinMs: 180_000 })
      for (const worker of spawned.slice(4)) worker.kill('SIGTERM')
      await Promise.all(spawned.map((worker) => worker.ended()))
      const handled = spawned.flatMap(({ lines }) => lines.flatMap((line) => /^handled (\d+)$/.exec(line)?.[1] ?? []))
      const again = handled.reduce((sum, count) => sum + Number(count), 0) - messages
      console.log(`  ${again} of ${messages} messages were handled again (${((100 * again) / messages).toFixed(2)} %)`)
      faults.note('at most 1 % handled again', again <= messages / 100)
      return faults.all
    },
  },

  'lost-replies': {
    about: 'replies to COMMIT and to Produce are lost (G1, G2, G4, G5)',
    disturb: async (run, random) => {
      const faults = new Tally()
      await using database = await new PostgresProxy(run.servers.databaseUrl).start()
      await using broker = await new KafkaProxy(run.servers.brokers[0] ?? '').start()
      const backbone = createBackbone({
        service: run.group,
        kafka: { driver: 'kafkajs', brokers: [broker.broker] },
        database: { connectionString: database.url },
        relay: { batchSize: 10, lease: '1s' },
        logger: false,
      })
      await backbone.start({ run: ['relay'] })
      for (let round = 0; round < 100; round++) {
        const before = database.fired
        database.cutNextCommit(random.pick(['lose the reply', 'lose the request']))
        await publishCounted(backbone, run.servers.topic, { messages: 5, keys, historyPath: run.historyPath })
        faults.note('COMMIT cut', database.fired > before)
        if (round % 2 === 0) broker.loseProduceReplies(1)
      }
      await run.relayed(90_000)
      for (let lost = 0; lost < 50; lost++) faults.note('Produce reply lost', lost < broker.lostReplies)
      await backbone.stop()
      run.spawn({ run: ['relay', 'consume'] })
      return faults.all
    },
  },

  postgres: {
    about: 'PostgreSQL is killed with kill -9 and comes back (G1–G6)',
    owns: 'PostgreSQL',
    disturb: async (run, random, own) => await restarts(run, random, own, 4),
  },

  kafka: {
    about: 'Kafka is killed with kill -9 and comes back (G1–G6)',
    owns: 'Kafka',
    disturb: async (run, random, own) => await restarts(run, random, own, 3),
  },
}

async function restarts(run: Run, random: Random, own: PrivateServer | undefined, times: number): Promise<Faults> {
  const faults = new Tally()
  run.spawn({ run: ['relay', 'consume'] })
  for (let round = 0; round < times; round++) {
    const effects = await run.count('effect')
    const publisher = run.spawn({ publish: { messages: 300, keys, historyPath: run.historyPath } })
    await until('some effects', async () => (await run.count('effect')) > effects + random.between(1, 150), 60_000)
    await own?.kill()
    await own?.restart()
    faults.note('server killed', true)
    await publisher.says('published', 90_000)
  }
  return faults.all
}

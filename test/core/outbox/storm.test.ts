import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { BackboneOptions } from '../../../src/config.ts'
import { storm } from '../../kit/outbox-storm.ts'
import { Random } from '../../kit/random.ts'
import { stormSeeds } from '../../kit/storm-seeds.ts'
import { until, Witness } from '../../kit/wait.ts'
import { type FaultPlan, faults } from './faulty-producer.ts'
import { RelayBench } from './relay-bench.ts'

const keys = Array.from({ length: 50 }, (_, index) => `k${index}`)
/** Two topics: one of them may be refused while the other flows. */
const topics = { t: 4, u: 2 }
const topicOf = (key: string): 't' | 'u' => (key.length === 2 ? 'u' : 't')

/** Small, so that lanes are full, passes are cut short and rows are left in the table all the time. */
function settings(random: Random): BackboneOptions['relay'] {
  const laneSize = random.pick([4, 15, 40])
  return {
    batchSize: random.pick([1, 3, 7]),
    passSize: random.pick([5, 20, 50]),
    laneSize,
    inFlightMax: random.pick([laneSize, 60]),
    lease: '1s',
    retryMax: '100ms',
  }
}

/** What may befall a batch: replies and requests get lost, the cluster and the topic refuse, some messages are refused for a while. */
function weather(random: Random): FaultPlan {
  const refusals = new Map<string, number>()
  const topicsRefused = random.pick([1, 1, 8])
  return (_, __, messages) => {
    // A message whose name ends in 7 is refused in company, and twice when it is alone.
    const awkward = messages.filter((name) => name.endsWith('7') && (refusals.get(name) ?? 0) < 2)
    if (messages.length === 1) for (const name of awkward) refusals.set(name, (refusals.get(name) ?? 0) + 1)
    if (awkward.length > 0) return 'refused record'
    const luck = random.between(1, 100)
    if (luck <= 6) return 'lost reply'
    if (luck <= 10) return 'lost request'
    if (luck <= 12) return 'refused cluster'
    if (luck <= 12 + topicsRefused) return 'refused topic'
    // Long enough for a person's request to come in between.
    return luck > 98 ? pause(300) : undefined
  }
}

test.each(stormSeeds())(
  '24 writers, two relays, lost replies, refusals, requests, thefts of the lease and cut connections: nothing is lost, invented or overtaken (seed %i)',
  { timeout: 180_000 },
  async (seed) => {
    const random = new Random(seed)
    const bench = await RelayBench.open(topics)
    const plan = weather(random)
    // The database's clock is an hour off this machine's, and it may be either way.
    await bench.query(shiftSql(random.pick(['1 hour', '-1 hour'])))
    const relays = [1, 2].map(() => bench.assembly(settings(random), { producer: faults(plan).producer }))
    const witnesses = relays.map(({ diagnostics }) => new Witness(diagnostics))
    for (const relay of relays) await relay.start({ run: ['relay'] })

    const writing = storm({
      url: bench.url,
      writers: 24,
      transactions: 20,
      keys,
      insertSql: (key, version) => bench.insertSql(topicOf(key), key, version),
      random,
    })
    const over = { now: false }
    const disturbing = disturb(bench, random, over)
    await writing
    over.now = true
    await disturbing
    await until(
      'an empty outbox',
      async () => {
        await bench.request('redrive')
        return (await bench.waiting()) === 0
      },
      90_000,
    )

    expect(await bench.violations('t', 'u')).toEqual([])
    const count = (name: 'relay.term_started' | 'relay.unknown' | 'relay.held' | 'relay.released' | 'relay.overlooked'): number =>
      witnesses.reduce((sum, witness) => sum + witness.count(name), 0)
    expect(count('relay.term_started')).toBeGreaterThan(2)
    expect(count('relay.unknown')).toBeGreaterThan(0)
    expect(count('relay.released')).toBeGreaterThan(0)
    expect(count('relay.overlooked')).toBe(0)
  },
)

/** Until the writers are done, and once at least: the lease is stolen, connections are cut, people redrive what is held. */
async function disturb(bench: RelayBench, random: Random, over: { readonly now: boolean }): Promise<void> {
  const first: readonly Act[] = ['steal', 'cut', 'redrive']
  for (let done = 0; done < first.length || !over.now; done++) {
    await pause(random.between(50, 200))
    const act = first[done] ?? random.pick(['redrive', 'redrive', 'steal', 'cut'])
    // What befalls nobody in office would count for nothing.
    if (done < first.length) await until('an owner', async () => (await bench.query(ownerSql)).length === 1)
    if (act === 'redrive') await bench.request('redrive')
    if (act === 'steal') await bench.query("update trunkline.outbox_lease set owner = null, expires_at = '-infinity', epoch = epoch + 1")
    if (act === 'cut') await bench.query(cutSql)
  }
}

type Act = 'redrive' | 'steal' | 'cut'

const ownerSql = 'select from trunkline.outbox_lease where owner is not null'

const cutSql = `
  select pg_terminate_backend(pid) from pg_stat_activity
   where application_name like 'trunkline relay%' and datname = current_database()`

function shiftSql(shift: string): string {
  return `do $$ begin execute format('alter database %I set trunkline.shift = %L', current_database(), '${shift}'); end $$`
}

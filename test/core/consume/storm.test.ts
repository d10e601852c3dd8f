import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { PostgresAuditLog } from '../../../src/adapters/postgres/audit-log.ts'
import { PostgresFailureStore } from '../../../src/adapters/postgres/failure-store.ts'
import type { Handler } from '../../../src/core/consume/subscription.ts'
import type { Transaction } from '../../../src/core/database/database.ts'
import { actByHand } from '../../../src/core/failures/act-by-hand.ts'
import { type Backbone, ConflictError, type SubscriptionOptions } from '../../../src/index.ts'
import { openDatabase } from '../../adapters/postgres/open-database.ts'
import { type Counted, countedOn } from '../../kit/contracts.ts'
import { Random } from '../../kit/random.ts'
import { until } from '../../kit/wait.ts'
import { publishNext } from '../../kit/workload.ts'
import { ConsumeBench } from './consume-bench.ts'

const PARTITIONS = 3
const WRITERS = 6
const MESSAGES = 40
const keys: readonly [string, ...string[]] = ['k0', ...Array.from({ length: 23 }, (_, index) => `k${index + 1}`)]

/** The long form runs many, each with a seed and settings of its own. */
const storms = Number(process.env['TRUNKLINE_STORMS'] ?? 1)
const seeds = Array.from({ length: storms }, (_, index) => Number(process.env['TRUNKLINE_STORM_SEED'] ?? Date.now() % 100_000) + index)

/** What a handler does with a message; `poison` fails until the storm is over, as if the next build had mended it. */
const notes = ['', '', '', '', '', '', '', 'fails 1', 'fails 3', 'poison', 'conflict', 'caught', 'savepoint', 'slow'] as const

function settings(random: Random): SubscriptionOptions {
  const transaction = random.pick(['batch', 'batch', 'message'] as const)
  return {
    timeout: '10s',
    retry: { inline: random.between(0, 1), delays: [random.pick(['10ms', '50ms'])], jitter: 0 },
    transaction,
    interleave: transaction === 'batch' && random.between(1, 2) === 1,
    batch: { size: random.pick([1, 5, 100]) },
  }
}

interface Storm {
  over: boolean
}

test.each(seeds)(
  'members come and go, positions are stolen, connections cut, the log repeats itself, messages fail and people redrive them: each effect once, in order, nothing lost (seed %i)',
  { timeout: 120_000 },
  async (seed) => {
    const random = new Random(seed)
    const bench = await ConsumeBench.open(PARTITIONS)
    const operator = await operating(bench)
    const storm = { over: false }
    const policy = settings(random)
    const { backbone: publisher } = bench.backbone()
    await publisher.start({ run: ['relay'] })
    const join = (): Promise<Backbone> => member(bench, policy, random, storm)
    const members = [await join(), await join()]

    const writing = Promise.all(Array.from({ length: WRITERS }, () => write(publisher, random)))
    const disturbing = disturb({ bench, operator, random, storm, members, join })
    await writing
    storm.over = true
    await disturbing
    await bench.relayed()
    await bench.settled()
    await until('no message that is kept', () => operator.redrive(), 60_000)

    expect(await bench.violations()).toEqual([])
    expect(await bench.query('select from trunkline.parked_key')).toEqual([])
  },
)

/** A process of the group. What fails, fails in ways that handlers do, until the storm is over. */
async function member(bench: ConsumeBench, policy: SubscriptionOptions, random: Random, storm: Storm): Promise<Backbone> {
  // What a worker had whose connection was cut goes on soon.
  const { backbone } = bench.backbone({ lease: '1s', idleDelay: '50ms' })
  const handler: Handler<Counted, Transaction> = async ({ data: { key, version, note } }, { tx, attempt }) => {
    const fails = !storm.over && attempt <= Number(/^fails (\d+)$/.exec(note)?.[1] ?? 0)
    if (fails || (note === 'poison' && !storm.over)) throw new Error('This message fails.')
    if (note === 'conflict' && random.between(1, 2) === 1) throw new ConflictError('TEST', 'somebody else was first')
    if (note === 'slow') await pause(30)
    // What is undone here must not count.
    if (note === 'savepoint') await tx.savepoint(() => undo(tx, key)).catch(() => undefined)
    await tx.query('insert into effect (key, version) values ($1, $2)', [key, version])
    if (note === 'caught' && !storm.over) await tx.query('select 1 / 0').catch(() => undefined)
  }
  backbone.subscribe(countedOn('t'), handler, policy)
  await backbone.start({ run: ['consume'] })
  return backbone
}

async function undo(tx: Transaction, key: string): Promise<void> {
  await tx.query('insert into effect (key, version) values ($1, 0)', [key])
  throw new Error('Undone.')
}

/** A connection may be cut at any time: what was committed stands in the database, whatever was told. */
async function write(publisher: Backbone, random: Random): Promise<void> {
  for (let written = 0; written < MESSAGES; written++) {
    await publishNext(publisher, 't', random.pick(keys), { note: random.pick(notes) }).catch(() => undefined)
    await pause(random.between(0, 10))
  }
}

interface Disturbed {
  readonly bench: ConsumeBench
  readonly operator: Operator
  readonly random: Random
  readonly storm: Storm
  readonly members: Backbone[]
  readonly join: () => Promise<Backbone>
}

const acts = ['join', 'leave', 'steal', 'cut', 'repeat', 'redrive'] as const

/** Everything once, and then whatever comes until the writers are done. */
async function disturb({ bench, operator, random, storm, members, join }: Disturbed): Promise<void> {
  let repeated = 0
  for (let done = 0; done < acts.length || !storm.over; done++) {
    await pause(random.between(20, 150))
    const act = acts[done] ?? random.pick(acts)
    if (act === 'join' && members.length < 4) members.push(await join())
    if (act === 'leave' && members.length > 1) await members.shift()?.stop()
    if (act === 'steal') await bench.query(stealSql, [random.between(0, PARTITIONS - 1)])
    if (act === 'cut') await bench.query(cutSql)
    if (act === 'repeat' && repeated++ < 2) await bench.sendAgain()
    if (act === 'redrive') await operator.redrive()
  }
}

interface Operator {
  /** Puts every dead letter back. @returns whether nothing is kept any more */
  redrive(): Promise<boolean>
}

async function operating(bench: ConsumeBench): Promise<Operator> {
  const { database } = await openDatabase({ url: bench.url })
  const parts = { database, failures: new PostgresFailureStore(database), audit: new PostgresAuditLog(database) }
  return {
    redrive: async () => {
      const kept = await bench.query('select id, state from trunkline.parked_message')
      for (const { id, state } of kept) {
        if (state === 'dead')
          await actByHand(parts, { group: 'judge', id: String(id) }, { verb: 'redrive', actor: 'judge', reason: 'mended' })
      }
      return kept.length === 0
    },
  }
}

// As another owner does at its assignment.
const stealSql = 'update trunkline.consumer_position set epoch = epoch + 1 where partition = $1'

const cutSql = `
  select pg_terminate_backend(pid) from pg_stat_activity
   where application_name = 'trunkline judge' and datname = current_database() and random() < 0.3`

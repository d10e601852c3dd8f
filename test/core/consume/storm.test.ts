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
import { stormSeeds } from '../../kit/storm-seeds.ts'
import { until } from '../../kit/wait.ts'
import { publishNext } from '../../kit/workload.ts'
import { ConsumeBench } from './consume-bench.ts'

const PARTITIONS = 3
const WRITERS = 6
const MESSAGES = 40
const keys: readonly [string, ...string[]] = ['k0', ...Array.from({ length: 23 }, (_, index) => `k${index + 1}`)]

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

test.each(stormSeeds())(
  'members come and go, others go on that have lost their partitions, positions are stolen, connections cut, the log repeats itself, messages fail and people redrive them: each effect once, in order, nothing lost (seed %i)',
  { timeout: 120_000 },
  async (seed) => {
    const random = new Random(seed)
    const bench = await ConsumeBench.open(PARTITIONS)
    await bench.query(notingSql)
    const operator = await operating(bench)
    const storm = { over: false }
    const policy = settings(random)
    const { backbone: publisher } = bench.backbone()
    await publisher.start({ run: ['relay'] })
    const join = (): Promise<Backbone> => member(bench, policy, random, storm)
    const members = [await join(), await join()]

    const writing = Promise.all(Array.from({ length: WRITERS }, () => write(publisher, random)))
    const disturbing = disturb({ bench, publisher, operator, random, storm, members, join })
    await writing
    storm.over = true
    await disturbing
    await bench.relayed()
    await bench.settled()
    await until('no message that is kept', () => operator.redrive(), 60_000)

    expect(await bench.violations()).toEqual([])
    expect(await bench.query('select from trunkline.parked_key')).toEqual([])
    // Whoever is not the owner any more would set it back to where it stands itself.
    expect(await bench.query('select * from position_set_back')).toEqual([])
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
  readonly publisher: Backbone
  readonly operator: Operator
  readonly random: Random
  readonly storm: Storm
  readonly members: Backbone[]
  readonly join: () => Promise<Backbone>
}

const acts = ['join', 'leave', 'zombie', 'steal', 'cut', 'repeat', 'redrive'] as const

/** Everything once, and then whatever comes until the writers are done. */
async function disturb({ bench, publisher, operator, random, storm, members, join }: Disturbed): Promise<void> {
  let repeated = 0
  for (let done = 0; done < acts.length || !storm.over; done++) {
    await pause(random.between(20, 150))
    const act = acts[done] ?? random.pick(acts)
    if (act === 'join' && members.length < 4) members.push(await join())
    if (act === 'leave' && members.length > 1) await members.shift()?.stop()
    if (act === 'zombie' && members.length > 1) await zombie(bench, publisher, random)
    if (act === 'steal') await bench.query(stealSql, [random.between(0, PARTITIONS - 1)])
    if (act === 'cut') await bench.query(cutSql)
    if (act === 'repeat' && repeated++ < 2) await bench.sendAgain()
    if (act === 'redrive') await operator.redrive()
  }
}

/** The oldest member goes on with its partitions, in which messages come, while others have them; it hears of that later. */
async function zombie(bench: ConsumeBench, publisher: Backbone, random: Random): Promise<void> {
  const tell = bench.log.faults.cutOff('judge')
  for (const key of keys) await publishNext(publisher, 't', key, { note: random.pick(notes) })
  tell()
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

// What the log still has is never asked for again by a position: it only goes forward.
const notingSql = `
  create table position_set_back (partition int, epoch bigint, was bigint, became bigint);
  create function note_set_back() returns trigger language plpgsql as $$
  begin
    insert into public.position_set_back values (old.partition, new.epoch, old.next_offset, new.next_offset);
    return new;
  end $$;
  create trigger note_set_back after update on trunkline.consumer_position
     for each row when (new.next_offset < old.next_offset) execute function note_set_back()`

import type { FailpointName } from './failpoints.ts'
import type { TestProcess } from './processes.ts'
import type { Random } from './random.ts'
import type { Run } from './run.ts'
import type { Faults } from './tally.ts'
import { until } from './wait.ts'

/** Of each seed; five seeds are 200. */
const KILLS = 40
const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g']

/** Where a relay is killed or frozen, and up to which occurrence. */
const failpoints: readonly { readonly at: FailpointName; readonly within: number }[] = [
  { at: 'relay.term_started', within: 1 },
  { at: 'relay.pass', within: 2 },
  { at: 'relay.sending', within: 4 },
  { at: 'relay.acked', within: 4 },
  { at: 'relay.removing', within: 1 },
  { at: 'relay.removed', within: 1 },
  { at: 'relay.held', within: 1 },
  { at: 'relay.released', within: 1 },
  { at: 'relay.due', within: 1 },
]

/** A relay dies at each of its failpoints again and again, and freezes now and then, while messages come and keys are held. */
export async function killRelays(run: Run, random: Random, kills: number = KILLS): Promise<Faults> {
  const faults: Faults = {}
  let frozen: TestProcess | undefined
  for (const { at, within } of failpoints) {
    let fired = 0
    for (let kill = 0; kill < kills; kill++) {
      await prepare(run, at, kill)
      const act = random.between(1, 10) === 1 ? 'SIGSTOP' : 'SIGKILL'
      const relay = run.spawn({ run: ['relay'], failpoints: [{ at, nth: random.between(1, within), act }] })
      if (await firedBeside(relay, frozen, at)) fired++
      await ended(frozen)
      frozen = act === 'SIGSTOP' ? relay : await ended(relay)
    }
    faults[`killed or frozen at ${at}`] = { planned: kills, fired }
  }
  await ended(frozen)
  run.spawn({ run: ['relay', 'consume'] })
  await until('no key that is held', async () => await released(run, 'discard'), 60_000)
  return faults
}

/** What makes the relay come by this failpoint. */
async function prepare(run: Run, at: FailpointName, kill: number): Promise<void> {
  await run.publishAll(keys, 2)
  // A key of its own each time: one that is held already is not held again.
  if (at === 'relay.held') await run.query(oversizeSql, [run.servers.topic, `h${kill}`])
  if (at === 'relay.released') {
    await run.query(oversizeSql, [run.servers.topic, `r${kill}`])
    await run.query(holdSql, [`r${kill}`])
  }
  if (at === 'relay.due') await run.query(scheduleSql, [run.servers.topic])
}

/** A former owner that was frozen wakes up beside its successor, and must do no harm. */
async function firedBeside(relay: TestProcess, frozen: TestProcess | undefined, at: FailpointName): Promise<boolean> {
  await until('its term', () => relay.lines.includes('relay.term_started') || relay.fired(at), 60_000).catch(() => undefined)
  frozen?.kill('SIGCONT')
  await until('the failpoint', () => relay.fired(at), 60_000).catch(() => undefined)
  return relay.fired(at)
}

async function ended(relay: TestProcess | undefined): Promise<undefined> {
  relay?.kill('SIGCONT')
  relay?.kill('SIGKILL')
  await relay?.ended(20_000)
}

/** @returns whether nothing is held any more */
async function released(run: Run, act: 'redrive' | 'discard'): Promise<boolean> {
  await run.query('update trunkline.outbox_held_key set request = $1, requested_at = trunkline.now() where request is null', [act])
  return (await run.count('trunkline.outbox_held_key')) === 0 && (await run.count('trunkline.outbox')) === 0
}

// Two MiB: more than a broker takes, and more than publish would have let through.
const oversizeSql = `
  insert into trunkline.outbox (bucket, key_hash, topic, id, key, value, headers)
  values (0, 0, $1, gen_random_uuid(), $2::text::bytea, decode(repeat('00', 2097152), 'hex'), '')`

// As a former owner would have left it, with a person's request.
const holdSql = `
  insert into trunkline.outbox_held_key (topic, key, head_seq, head_id, reason_code, reason, request, requested_at)
  select topic, key, seq, id, 'TOO_LARGE', '', 'discard', trunkline.now() from trunkline.outbox where key = $1::text::bytea order by seq limit 1
  on conflict do nothing`

const scheduleSql = `
  insert into trunkline.outbox_scheduled (due_at, bucket, key_hash, topic, id, key, value, headers)
  values (trunkline.now(), 0, 0, $1, gen_random_uuid(), 's', '', '')`

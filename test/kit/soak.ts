import { median } from '../../bench/result.ts'
import type { Plan } from './plan.ts'
import type { Random } from './random.ts'
import type { Run } from './run.ts'
import { type Faults, Tally } from './tally.ts'
import { type Usage, usagesOf } from './usage.ts'
import { until } from './wait.ts'

const keys = Array.from({ length: 20 }, (_, index) => `key-${index}`)
const notes: [string, ...string[]] = ['fails 1', 'fails 2', 'catches its SQL error', '', '']
/** Keys of their own: their dead letters hold them for good. */
const POISON_KEYS = 50
const RSS_MB_MAX = 300
const FAULT_EVERY_MS = 10_000

/**
 * Messages come steadily, some fail, members come, go, freeze and die beside two programs that stay: at the end those two
 * have as much memory, and as many handles, as when they were warm.
 */
export async function soak(run: Run, random: Random, minutes: number): Promise<Faults> {
  const end = performance.now() + minutes * 60_000
  const publisher = run.spawn({ publish: { messages: 10_000_000, keys, historyPath: run.historyPath, everyMs: 10 } })
  const plan: Partial<Plan> = { run: ['relay', 'consume'], reports: { everyMs: 2_000, collects: true } }
  const staying = [run.spawn(plan), run.spawn(plan)]
  await Promise.all(staying.map((each) => each.says('consumer.assigned', 60_000)))
  const faults = new Tally()
  for (let round = 0; performance.now() < end; round++) {
    const next = performance.now() + FAULT_EVERY_MS
    for (const key of keys.slice(0, 3)) await run.publish(key, random.pick(notes))
    if (round < POISON_KEYS) await run.publish(`poison-${round}`, 'poison')
    faults.note(...(await disturb(run, random)))
    await until('the next fault', () => performance.now() > next, FAULT_EVERY_MS + 60_000)
  }
  publisher.kill('SIGKILL')
  await publisher.ended()
  for (const [index, each] of staying.entries()) {
    const found = growthIn(usagesOf(each))
    console.log(`  program ${index + 1}: ${described(usagesOf(each))}`)
    for (const line of found) console.log(`  program ${index + 1}: ${line}`)
    faults.note('flat memory and handles', found.length === 0)
    faults.note('still running', each.running)
  }
  return faults.all
}

/** A guest joins the group, and leaves it in its own way. */
async function disturb(run: Run, random: Random): Promise<readonly [name: string, fired: boolean]> {
  const guest = run.spawn({ run: ['relay', 'consume'] })
  await guest.says('consumer.assigned', 60_000)
  const way = random.pick<NodeJS.Signals>(['SIGTERM', 'SIGTERM', 'SIGKILL', 'SIGSTOP'])
  guest.kill(way)
  // A frozen one is left to be found out, and ended.
  if (way === 'SIGSTOP') await until('its heartbeat to be missed', async () => await isMissed(run), 60_000)
  guest.kill(way === 'SIGTERM' ? 'SIGTERM' : 'SIGKILL')
  await guest.ended(60_000)
  return [`a guest left by ${way}`, true]
}

async function isMissed(run: Run): Promise<boolean> {
  return (await run.query('select from trunkline.process where expires_at < now()')).length > 0
}

/**
 * Compares the last sixth of the time with what came after the first third: until then caches fill and code is compiled.
 *
 * @returns what grew, or is beyond its limit; none when nothing did
 */
export function growthIn(usages: readonly Usage[]): readonly string[] {
  const at = (share: number): number => Math.floor(usages.length * share)
  const [early, late] = [usages.slice(at(1 / 3), at(1 / 2)), usages.slice(at(5 / 6))]
  if (early.length < 3 || late.length < 3) return [`only ${usages.length} reports: nothing can be said`]
  const limits: readonly [of: keyof Usage, factor: number, more: number][] = [
    ['rssMb', 1.1, 16],
    ['heldMb', 1.1, 8],
    ['files', 1, 6],
    ['resources', 1, 12],
  ]
  const grown = limits.flatMap(([of, factor, more]) => {
    const [before, now] = [early, late].map((part) => median(part.map((usage) => usage[of])))
    if (before === undefined || now === undefined || now <= before * factor + more) return []
    return [`${of} grew from ${before} to ${now}`]
  })
  const most = Math.max(...usages.map(({ rssMb }) => rssMb))
  return most > RSS_MB_MAX ? [...grown, `rssMb reached ${most}, ${RSS_MB_MAX} is the limit`] : grown
}

function described(usages: readonly Usage[]): string {
  const [first, last] = [usages[Math.floor(usages.length / 3)], usages.at(-1)]
  const told = (usage: Usage | undefined): string =>
    usage === undefined ? 'nothing' : `${usage.rssMb} MB (${usage.heldMb} MB held), ${usage.files} files, ${usage.resources} handles`
  return `warm ${told(first)}; at the end ${told(last)}; ${usages.length} reports`
}

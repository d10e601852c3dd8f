import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { migrate } from '../src/adapters/postgres/migrate.ts'
import { createDatabase, dropDatabases } from '../src/adapters/postgres/server-databases.ts'
import { type Stack, startStack } from '../src/faces/stack/stack.ts'
import { messageOf } from '../src/foundation/errors.ts'
import { PrivateServer } from './kit/private-servers.ts'
import { type Proof, type ProofSettings, proofs } from './kit/proofs.ts'
import { proveBrokers } from './kit/prove-brokers.ts'
import { proveCommits } from './kit/prove-commits.ts'
import { proveFuzz } from './kit/prove-fuzz.ts'
import { proveStandby } from './kit/prove-standby.ts'
import { proveStorms } from './kit/prove-storms.ts'
import { Random } from './kit/random.ts'
import { Run } from './kit/run.ts'
import type { Faults } from './kit/tally.ts'

const usage = `Runs the long form of a scenario over several seeds, and says what fired and what held.

  npm run prove -- <name> [--seeds 5] [--from 1] [--minutes 30] [--kills 40]

  list                the names
  all                 every one of them
  --seeds <n>         how many seeds (default 5)
  --minutes <n>       how long a soak takes, or all absences together (default 30)
  --kills <n>         of outbox, consume and stops: ends at each failpoint in a seed (default 40)
  --from <n>          the first seed (default 1): one seed again is --from <seed> --seeds 1
  --help              this text

Exit codes: 0 every promise held in every run and every planned fault fired, 1 not so, 2 wrong usage.`

/** What judges itself, and needs no servers from here. */
const withoutRun: Readonly<Record<string, { readonly about: string; prove(seeds: number, from: number): Promise<boolean> }>> = {
  brokers: {
    about: 'leaders among three brokers are killed, frozen and stopped, and replies are lost: 50 leaders (G2, G4, G6)',
    prove: proveBrokers,
  },
  commits: { about: 'the replies to 1,000 COMMITs are lost, or the requests; none is told wrongly (G5)', prove: proveCommits },
  standby: { about: 'the primary of a synchronous pair dies under load, and its standby is promoted (G1–G6)', prove: proveStandby },
  storms: {
    about:
      '40 storms a seed over relays, and over consumers: lost replies, refusals, thefts, cut connections, people who redrive (G1–G4, G7)',
    prove: proveStorms,
  },
  fuzz: { about: 'valid messages are changed at random and read: 200,000 a seed (G10)', prove: proveFuzz },
  demo: { about: 'the demo, with one of its services killed half-way', prove: proveDemo },
}

const names = [...Object.keys(proofs), ...Object.keys(withoutRun)]

const options = {
  seeds: { type: 'string', default: '5' },
  from: { type: 'string', default: '1' },
  minutes: { type: 'string', default: '30' },
  kills: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const

// Programs that die young must not spend their lives in being compiled.
process.env['NODE_COMPILE_CACHE'] ??= fileURLToPath(new URL('../node_modules/.cache/programs-of-tests', import.meta.url))

process.exitCode = await main()

async function main(): Promise<number> {
  const asked = read(process.argv.slice(2))
  if (asked === 'help') {
    console.log(usage)
    return 0
  }
  if (typeof asked === 'string') {
    console.error(`${asked}\n\n${usage}`)
    return 2
  }
  if (asked.name === 'list') {
    for (const [each, { about }] of Object.entries({ ...proofs, ...withoutRun })) console.log(`${each.padEnd(14)}${about}`)
    return 0
  }
  let holds = true
  for (const each of asked.name === 'all' ? names : [asked.name]) {
    const [proof, other] = [proofs[each], withoutRun[each]]
    const held = proof === undefined ? await other?.prove(asked.seeds, asked.from) : await prove(each, proof, asked)
    holds &&= held === true
  }
  console.log(holds ? 'Everything held.' : 'Something did not hold; the lines above say what, and with which seed.')
  return holds ? 0 : 1
}

/** @returns what is to be done, `help`, or what is wrong with the arguments */
function read(args: readonly string[]): Asked | string {
  try {
    const { positionals, values } = parseArgs({ args: [...args], allowPositionals: true, options })
    const [name = 'list', ...more] = positionals
    if (values.help === true) return 'help'
    if (more.length > 0) return `One name, please; "${more[0]}" is one more.`
    if (!['list', 'all', ...names].includes(name)) return `There is no proof "${name}".`
    const numbers = { seeds: values.seeds, from: values.from, minutes: values.minutes, kills: values.kills ?? '1' }
    const wrong = Object.entries(numbers).find(([, text]) => !/^[1-9][0-9]{0,8}$/.test(text))
    if (wrong !== undefined) return `--${wrong[0]} must be a whole number above 0, not "${wrong[1]}".`
    const kills = values.kills === undefined ? undefined : Number(values.kills)
    return { name, seeds: Number(values.seeds), from: Number(values.from), minutes: Number(values.minutes), kills }
  } catch (error) {
    return messageOf(error)
  }
}

interface Asked extends Extent {
  readonly name: string
}

interface Extent extends ProofSettings {
  readonly seeds: number
  readonly from: number
}

async function prove(name: string, proof: Proof, { seeds, from, minutes, kills }: Extent): Promise<boolean> {
  const brokers = process.env['TRUNKLINE_TEST_KAFKA_BROKERS']?.split(',').filter(Boolean)
  const stack = await startStack({
    given: { brokers, databaseUrl: process.env['TRUNKLINE_TEST_DATABASE_URL'] || undefined },
    real: true,
    env: process.env,
    say: (line) => console.log(line),
  })
  const prefix = `trunkline-prove-${randomBytes(3).toString('hex')}-`
  let holds = true
  try {
    for (let seed = from; seed < from + seeds; seed++) {
      const held = await runSeed({ name, proof, seed, stack, prefix, minutes, kills })
      holds &&= held
    }
  } finally {
    await dropDatabases(stack.databaseUrl, prefix)
    await stack.stop()
  }
  return holds
}

interface SeedRun extends ProofSettings {
  readonly name: string
  readonly proof: Proof
  readonly seed: number
  readonly stack: Stack
  readonly prefix: string
}

async function runSeed({ name, proof, seed, stack, prefix, minutes, kills }: SeedRun): Promise<boolean> {
  const began = performance.now()
  const own = proof.owns === undefined ? undefined : await PrivateServer.start(proof.owns)
  try {
    const topic = `${prefix}${name}-${seed}`
    const databaseUrl =
      proof.owns === 'PostgreSQL' && own !== undefined ? await own.migratedDatabase('proved') : await database(stack, topic)
    const brokers = proof.owns === 'Kafka' && own !== undefined ? own.brokers : stack.brokers
    await using run = await Run.begin({ brokers, databaseUrl, topic })
    const stopped: string[] = []
    const faults = await proof.disturb(run, new Random(seed), own, { minutes, kills }).catch((error: unknown) => {
      stopped.push(`it could not go on: ${messageOf(error)}`)
      return {}
    })
    const drained = await run.drained({ withinMs: 120_000 }).then(
      () => [],
      (error: unknown) => [`no progress after the last fault: ${messageOf(error)}`],
    )
    const { violations, counts } = await run.judge()
    const wrong = [...stopped, ...violations, ...drained, ...unfired(faults)]
    report({ name, seed, seconds: (performance.now() - began) / 1_000, faults, counts, wrong })
    return wrong.length === 0
  } finally {
    await own?.[Symbol.asyncDispose]()
  }
}

async function database(stack: Stack, name: string): Promise<string> {
  await createDatabase(stack.databaseUrl, name)
  const url = stack.databaseUrlOf(name)
  await migrate(url)
  return url
}

function unfired(faults: Faults): string[] {
  const entries = Object.entries(faults)
  if (entries.length === 0) return ['no fault was planned']
  return entries
    .filter(([, { planned, fired }]) => fired < planned)
    .map(([fault, { planned, fired }]) => `${fault}: only ${fired} of ${planned} fired`)
}

interface SeedReport {
  readonly name: string
  readonly seed: number
  readonly seconds: number
  readonly faults: Faults
  readonly counts: Readonly<Record<string, number>>
  readonly wrong: readonly string[]
}

function report({ name, seed, seconds, faults, counts, wrong }: SeedReport): void {
  const fired = Object.entries(faults).map(([fault, count]) => `${fault} ${count.fired}/${count.planned}`)
  const told = Object.entries(counts).map(([what, count]) => `${what} ${count}`)
  const verdict = wrong.length === 0 ? 'holds' : 'DOES NOT HOLD'
  console.log(`${name} seed ${seed} (${seconds.toFixed(0)} s): ${verdict} · faults: ${fired.join(', ')} · ${told.join(', ')}`)
  for (const line of wrong.slice(0, 20)) console.log(`  ${line}`)
  if (wrong.length > 20) console.log(`  … and ${wrong.length - 20} more`)
}

/** The demo judges itself: it exits 1 if anything does not add up. */
async function proveDemo(seeds: number, from: number): Promise<boolean> {
  let holds = true
  for (const victim of ['orders', 'stock', 'payments']) {
    for (let seed = from; seed < from + seeds; seed++) {
      const { code, output } = await demo(['--kill', victim, '--seed', String(seed)])
      console.log(`demo --kill ${victim} --seed ${seed}: ${code === 0 ? 'holds' : 'DOES NOT HOLD'}`)
      if (code !== 0) console.log(output)
      holds &&= code === 0
    }
  }
  return holds
}

function demo(options: readonly string[]): Promise<{ code: number | null; output: string }> {
  const program = fileURLToPath(new URL('../examples/order-fulfilment/demo/main.ts', import.meta.url))
  const child = spawn(process.execPath, [program, ...options], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, output }))
  })
}

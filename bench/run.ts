import { readFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { Client } from 'pg'
import { type Stack, startStack } from '../src/faces/stack/stack.ts'
import { messageOf } from '../src/foundation/errors.ts'
import { acked } from './acked.ts'
import { backlog } from './backlog.ts'
import { begun } from './begun.ts'
import { codec } from './codec.ts'
import { consume } from './consume.ts'
import type { Bench, BenchContext } from './context.ts'
import { driver } from './driver.ts'
import { growth } from './growth.ts'
import { latency } from './latency.ts'
import { neighbours } from './neighbours.ts'
import { publish } from './publish.ts'
import { relay } from './relay.ts'
import { type Row, toTable } from './result.ts'
import { standby } from './standby.ts'

const benches: Readonly<Record<string, Bench>> = {
  acked,
  backlog,
  begun,
  codec,
  consume,
  driver,
  growth,
  latency,
  neighbours,
  publish,
  relay,
  standby,
}

const usage = `Usage: npm run bench -- [${Object.keys(benches).join('|')}] [--events 100000] [--runs 3] [--json] [--help]`

const say = (line: string): void => console.error(line)

async function main(): Promise<number> {
  const asked = read()
  if (typeof asked === 'string') return refuse(asked)
  const { values, positionals } = asked
  if (values.help) {
    console.log(usage)
    return 0
  }
  const names = positionals.length === 0 ? Object.keys(benches) : positionals
  const events = Number(values.events)
  const runs = Number(values.runs)
  if (names.some((name) => benches[name] === undefined))
    return refuse(`There is no bench "${names.find((name) => benches[name] === undefined)}".`)
  if (!Number.isInteger(events) || events < 50_000 || events > 10_000_000) return refuse('--events must be from 50000 to 10000000.')
  if (!Number.isInteger(runs) || runs < 1 || runs > 99) return refuse('--runs must be from 1 to 99.')

  const interrupted = new AbortController()
  process.once('SIGINT', () => interrupted.abort(new Error('interrupted')))
  process.once('SIGTERM', () => interrupted.abort(new Error('interrupted')))
  const stack = await startStack({ tuning: 'load', real: true, env: process.env, say, signal: interrupted.signal })
  try {
    const measuring = measure(names, { stack, events, runs, say })
    const rows = await Promise.race([measuring, rejection(interrupted.signal), stack.ended.then((line) => Promise.reject(new Error(line)))])
    print(rows, await surroundings(stack), values.json)
    return rows.every((row) => row.holds) ? 0 : 1
  } finally {
    await stack.stop()
  }
}

/** @returns what is wrong with the arguments, where something is */
function read() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        json: { type: 'boolean', default: false },
        events: { type: 'string', default: '100000' },
        runs: { type: 'string', default: '3' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
  } catch (error) {
    return messageOf(error)
  }
}

async function measure(names: readonly string[], context: BenchContext): Promise<Row[]> {
  const rows: Row[] = []
  for (const name of names) rows.push(...((await benches[name]?.(context)) ?? []))
  return rows
}

function print(rows: readonly Row[], about: string, asJson: boolean): void {
  say(about)
  console.log(asJson ? rows.map((row) => JSON.stringify(row)).join('\n') : toTable(rows))
}

/** On which machine, beside what. */
async function surroundings(stack: Stack): Promise<string> {
  const client = new Client({ connectionString: stack.databaseUrl })
  await client.connect()
  const { rows } = await client.query<{ server_version: string }>('show server_version')
  await client.end()
  const model = cpus()[0]?.model.trim() ?? 'unknown processor'
  const machine = `${cpus().length} cores (${model}), ${Math.round(totalmem() / 2 ** 30)} GiB, shared with broker and database`
  const versions = [
    `Node ${process.versions.node}`,
    `PostgreSQL ${rows[0]?.server_version}`,
    ...['kafkajs', '@platformatic/kafka', 'pg', 'avsc'].map(packageVersion),
  ]
  return `${machine}\n${versions.join(', ')}\n${stack.servers.map((server) => server.line).join('\n')}`
}

function packageVersion(name: string): string {
  const file = new URL(`../node_modules/${name}/package.json`, import.meta.url)
  const { version }: { version: string } = JSON.parse(readFileSync(file, 'utf8'))
  return `${name} ${version}`
}

function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason))
  })
}

function refuse(why: string): number {
  say(`${why}\n${usage}`)
  return 2
}

try {
  process.exit(await main())
} catch (error) {
  say(error instanceof Error ? error.message : String(error))
  process.exit(1)
}

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { z } from 'zod'
import { kafkajsLog } from '../src/adapters/kafkajs/kafkajs-log.ts'
import type { BenchContext } from './context.ts'
import type { DriverName } from './driver-ports.ts'
import { type Row, toRow } from './result.ts'

/** What a small container sets: by itself V8 lets what is young grow to 128 MiB on a machine of 24 GiB, whoever makes it. */
const YOUNG_GENERATION = '--max-semi-space-size=16'
const MEGABYTE = 1024 * 1024
const RECORDS = 1_000_000
const program = fileURLToPath(new URL('./programs/driver.ts', import.meta.url))
const answer = z.object({ figure: z.number() })

/** What a process costs that has one producer and one consumer: while nothing happens, and while a million records pass. */
export async function processRows({ stack, say }: BenchContext): Promise<readonly Row[]> {
  const topic = `trunkline-bench-process-${process.pid}`
  const { admin } = kafkajsLog({ brokers: stack.brokers, clientId: 'bench' })
  await admin.createTopics([{ name: topic, partitions: 4, replicationFactor: 1 }])
  await admin.close()
  const place = { brokers: stack.brokers, topic }
  return [...(await rowsOf('kafkajs', '', place, say)), ...(await rowsOf('platformatic', 'platformatic: ', place, say))]
}

async function rowsOf(driver: DriverName, prefix: string, place: Place, say: BenchContext['say']): Promise<Row[]> {
  const idle = await run('idle', driver, place)
  const resident = await run('pass', driver, { ...place, records: RECORDS })
  const byDefault = await run('pass', driver, { ...place, records: RECORDS }, [])
  const memory = `${Math.round(resident / MEGABYTE)} MiB at most while a million records pass, ${Math.round(byDefault / MEGABYTE)} at Node's default settings`
  say(`${driver}: idle ${(idle * 100).toFixed(2)} % of a core; ${memory}`)
  const row = { bench: 'driver', name: `${prefix}idle process, one producer and one consumer`, unit: '% of a core' }
  const name = `${prefix}memory while a million records pass, with ${YOUNG_GENERATION}`
  return [
    toRow({ ...row, figure: idle * 100, atMost: 0.5 }),
    toRow({ bench: 'driver', name, unit: 'MiB', figure: resident / MEGABYTE, atMost: 200 }),
  ]
}

interface Place {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly records?: number
}

async function run(
  mode: 'idle' | 'pass',
  driver: DriverName,
  { brokers, topic, records = 0 }: Place,
  flags: readonly string[] = [YOUNG_GENERATION],
): Promise<number> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [...flags, program, mode, driver, brokers.join(','), topic, String(records)],
    {
      timeout: 240_000,
    },
  )
  return answer.parse(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).figure
}

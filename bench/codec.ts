import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import avsc from 'avsc'
import { unpackHeaders } from '../src/core/broker/header-bytes.ts'
import { decodePayload, encodePayload } from '../src/core/contract/codec.ts'
import { conform } from '../src/core/contract/conform.ts'
import { avscType, decodeAvro } from '../src/core/contract/guarded-avro.ts'
import { fromHeaders } from '../src/core/envelope/headers.ts'
import { packEnvelope } from '../src/core/envelope/packed-envelope.ts'
import { generateContracts } from '../src/faces/cli/schema-generate.ts'
import { envelope, newer, older, orderOf } from './order-event.ts'
import { median, type Row, toRow } from './result.ts'

/** Lines of the order: a small event and a large one. */
const SIZES = [3, 30]
const SCHEMAS = 200
const ROUNDS = 12
/** For the compiler, before the first round. */
const WARM_UP = 20_000
/** Between two looks at the clock: long enough for its steps, short enough that some rounds are left alone by whatever else runs. */
const ROUND_MICROS = 20_000

type Work = () => unknown

/** Both measured in turn in one process: what stands beside us, and us. */
interface Case {
  readonly name: string
  readonly baseline: Work
  readonly work: Work
  readonly ratioAtMost: number
}

/** Payload and whole envelope against JSON, the guard against bare avsc, an evolved reader against one of the same version. */
export async function codec({ runs, say }: { readonly runs: number; readonly say: (line: string) => void }): Promise<readonly Row[]> {
  // The guard first: the others teach the compiler types that these two do not use.
  const cases = [...SIZES.map(guardCase), ...SIZES.flatMap(casesOf)]
  const rows = cases.map((each) => measure(each, runs, say))
  return [...rows, generation(runs)]
}

function casesOf(lines: number): readonly Case[] {
  const data = conform(older, orderOf(lines))
  const value = encodePayload(older, data)
  const json = Buffer.from(JSON.stringify(data))
  const event = { ...envelope, datacontenttype: 'application/json', data }
  const eventJson = Buffer.from(JSON.stringify(event))
  const headers = unpackHeaders(packEnvelope({ ...envelope, data: value }))
  const named = (name: string, baseline: Work, work: Work, ratioAtMost: number): Case => ({
    name: `${name}, ${lines} lines`,
    baseline,
    work,
    ratioAtMost,
  })
  return [
    named(
      'payload, encode / JSON.stringify',
      () => Buffer.from(JSON.stringify(data)),
      () => encodePayload(older, data),
      1.5,
    ),
    named(
      'payload, decode / JSON.parse',
      () => JSON.parse(json.toString()),
      () => decodePayload(older, value),
      0.7,
    ),
    named(
      'evolved reader / same version',
      () => decodePayload(older, value),
      () => decodePayload(newer, value),
      1.1,
    ),
    named(
      'envelope, encode and check / JSON.stringify',
      () => Buffer.from(JSON.stringify(event)),
      () => packEnvelope({ ...envelope, data: encodePayload(older, data) }),
      2,
    ),
    named(
      'envelope, decode and check / JSON.parse',
      () => JSON.parse(eventJson.toString()),
      () => decodePayload(older, fromHeaders(headers, value).data ?? value),
      2,
    ),
  ]
}

const orderSchema = older.versions[0]?.schema ?? 'null'
const bare = avsc.Type.forSchema(orderSchema as avsc.Schema, { wrapUnions: 'never', omitRecordMethods: true })
const guarded = avscType(orderSchema)
/** As the codec reads with it. */
const guardedReader = guarded.createResolver(guarded)

/** The same type, built as the guard builds it and without the guard. */
function guardCase(lines: number): Case {
  const value = bare.toBuffer(conform(older, orderOf(lines)))
  return {
    name: `guarded decode / bare avsc, ${lines} lines`,
    baseline: () => bare.decode(value, 0),
    work: () => decodeAvro(guarded, value, 0, guardedReader),
    ratioAtMost: 1.03,
  }
}

function measure({ name, baseline, work, ratioAtMost }: Case, runs: number, say: (line: string) => void): Row {
  const measured = Array.from({ length: runs }, () => measureBoth(baseline, work))
  const [beside, ours] = [median(measured.map((each) => each.beside)), median(measured.map((each) => each.ours))]
  say(`${name}: ${ours.toFixed(2)} µs beside ${beside.toFixed(2)} µs`)
  // The ratio of each run: both sides of it saw the same machine.
  const ratio = median(measured.map((each) => each.ours / each.beside))
  const row = toRow({ bench: 'codec', name, unit: 'µs', figure: ours, baseline: beside })
  return { ...row, ratio: Number(ratio.toPrecision(4)), bar: `ratio <= ${ratioAtMost}`, holds: ratio <= ratioAtMost }
}

/** CPU time for one operation; the best of several rounds, because whatever else runs here only adds to it. */
function measureBoth(baseline: Work, work: Work): { readonly beside: number; readonly ours: number } {
  let [beside, ours] = [cpuMicros(baseline, WARM_UP), cpuMicros(work, WARM_UP)]
  const operations = Math.ceil(ROUND_MICROS / Math.min(beside, ours))
  for (let round = 0; round < ROUNDS; round++) {
    beside = Math.min(beside, cpuMicros(baseline, operations))
    ours = Math.min(ours, cpuMicros(work, operations))
  }
  return { beside, ours }
}

/** What the work returned last, so that it cannot be left out. */
let kept: unknown

function cpuMicros(work: Work, operations: number): number {
  const before = process.cpuUsage()
  for (let operation = 0; operation < operations; operation++) kept = work()
  const { user, system } = process.cpuUsage(before)
  if (kept === undefined) throw new Error('The work returned nothing.')
  return (user + system) / operations
}

function generation(runs: number): Row {
  const folder = mkdtempSync(join(tmpdir(), 'trunkline-bench-'))
  try {
    const schemas = writeSchemas(folder)
    const seconds = Array.from({ length: runs }, (_, run) => {
      const before = performance.now()
      const files = generateContracts({ schemas, out: join(folder, `out-${run}`) })
      if (files.length !== SCHEMAS / 20) throw new Error(`${files.length} files were generated.`)
      return (performance.now() - before) / 1000
    })
    return toRow({ bench: 'codec', name: `schema generate, ${SCHEMAS} schemas`, unit: 's', figure: median(seconds), atMost: 2 })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function writeSchemas(folder: string): string {
  for (let index = 0; index < SCHEMAS; index++) {
    const domain = `domain${Math.floor(index / 20)}`
    const name = `Order${index}`
    mkdirSync(join(folder, 'schemas', domain), { recursive: true })
    const trunkline = { kind: 'event', topic: 'orders', key: 'orderId' }
    // The types inside take the place of those of the order, whose names are used once in a file of generated code.
    const own = JSON.stringify(older.versions[0]?.schema).replaceAll('"Line"', `"Line${index}"`).replaceAll('"Status"', `"Status${index}"`)
    const schema = { ...JSON.parse(own), name, namespace: `bench.${domain}`, trunkline }
    writeFileSync(join(folder, 'schemas', domain, `${name}.v1.avsc`), JSON.stringify(schema))
  }
  return join(folder, 'schemas')
}

import { execFile, spawn } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import type { AvroSchema } from '../../src/core/contract/avro.ts'
import { decodePayload, encodePayload } from '../../src/core/contract/codec.ts'
import { versionOf } from '../../src/core/contract/conform.ts'
import { isMissing, type Missing, missing } from '../../src/faces/stack/missing.ts'
import { registryInstallation } from '../../src/faces/stack/registry-installation.ts'
import { Watchdog } from '../../src/faces/stack/watchdog.ts'
import * as next from '../core/contract/builds/new/orders.ts'
import { EntryBooked } from '../core/contract/generated/ledger.ts'
import { OrderChanged } from '../core/contract/generated/sales.ts'

const run = promisify(execFile)

interface Answer {
  readonly fingerprint: string
  readonly json: string
  readonly value: Buffer
}

/** Apache Avro for Java, which the registry of the tests brings with it; it is compiled as it is run. */
async function apacheAvro(): Promise<{ readonly java: string; readonly classpath: string } | Missing> {
  const watchdog = new Watchdog()
  try {
    const installation = await registryInstallation({ watchdog, env: process.env, say: (line) => console.log(line) })
    if (isMissing(installation)) return installation
    const { executable } = installation.java
    const { stdout } = await run(executable, ['--list-modules'])
    if (!stdout.includes('jdk.compiler')) return missing('a Java that cannot compile', 'install a JDK instead of a JRE')
    return { java: executable, classpath: join(dirname(installation.jarPath), 'lib', 'main', '*') }
  } finally {
    await watchdog.close()
  }
}

const found = await apacheAvro()
const why = isMissing(found) ? ` (skipped: ${found.what}; ${found.remedy})` : ''

async function ask(questions: readonly (readonly [writer: AvroSchema, reader: AvroSchema, value: Buffer])[]): Promise<Answer[]> {
  if (isMissing(found)) throw new Error(found.what)
  const program = fileURLToPath(new URL('../kit/apache-avro/Strangers.java', import.meta.url))
  const child = spawn(found.java, ['-cp', found.classpath, program], { stdio: ['pipe', 'pipe', 'pipe'] })
  let [output, errors] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  child.stdin.end(
    questions.map(([writer, reader, value]) => `${JSON.stringify(writer)}\n${JSON.stringify(reader)}\n${value.toString('hex')}\n`).join(''),
  )
  const code = await new Promise((resolve) => child.once('close', resolve))
  if (code !== 0) throw new Error(`Java ended with ${String(code)}: ${errors}`)
  const lines = output.trim().split('\n')
  return questions.map((_, index) => {
    const [fingerprint = '', json = '', hex = ''] = lines.slice(index * 3)
    return { fingerprint, json, value: Buffer.from(hex, 'hex') }
  })
}

const entry = EntryBooked({
  id: 'e-1 ö',
  entry: '0198f000-0000-7000-8000-000000000001',
  net: '12.50',
  gross: '-99999.125',
  serial: 2n ** 62n,
  seenAt: '2026-01-31T12:00:00.123456Z',
  labels: { toString: 1 },
  when: new Date('2026-01-31T12:00:00.123Z'),
})
const order = OrderChanged({
  id: 'o-1',
  total: { amount: -(2 ** 52) },
  checksum: new Uint8Array([0, 1, 254, 255]),
  lines: [{ sku: 'a', price: { amount: 1 }, parts: [{ sku: 'b', price: { amount: 2, currency: 'USD' } }] }],
})
const paid = next.OrderPaidV1({ id: 'a', amount: 1250 })

test.skipIf(isMissing(found))(
  `Apache Avro for Java reads what we write, and writes the same bytes${why}`,
  { timeout: 60_000 },
  async () => {
    const messages = [entry, order].map(({ definition, data }) => ({
      version: versionOf(definition),
      value: encodePayload(definition, data),
    }))
    const [older, newer] = [next.OrderPaidV1.definition, next.OrderPaid.definition]
    const old = encodePayload(older, paid.data)

    const answers = await ask([
      ...messages.map(({ version, value }) => [version.schema, version.schema, value] as const),
      [versionOf(older).schema, versionOf(newer).schema, old],
    ])

    // The schemas have the fingerprints by which values name them, and every type has the bytes that Java gives it.
    expect(answers.slice(0, 2).map(({ fingerprint }) => fingerprint)).toEqual(messages.map(({ version }) => version.fingerprint))
    expect(answers.slice(0, 2).map(({ value }) => value)).toEqual(messages.map(({ value }) => value))
    expect(answers[0]?.json).toContain('"serial": 4611686018427387904')
    expect(answers[0]?.json).toContain('"id": "e-1 ö"')
    // An old value that Java read with the new schema and wrote again is what we make of it, too.
    expect(decodePayload(newer, answers[2]?.value ?? Buffer.alloc(0))).toEqual(decodePayload(newer, old))
    expect(answers[2]?.value).toEqual(encodePayload(newer, decodePayload(newer, old)))
  },
)

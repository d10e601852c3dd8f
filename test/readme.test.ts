import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, inject, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { kafkajsLog } from '../src/adapters/kafkajs/kafkajs-log.ts'
import { backboneOptions } from '../src/config.ts'
import { groupOptions, subscriptionOptions } from '../src/core/consume/registry.ts'
import { loadSchemas } from '../src/core/contract/schema-files.ts'
import { generateContracts } from '../src/faces/cli/schema-generate.ts'
import { durationMs } from '../src/foundation/duration.ts'
import { parseOptions } from '../src/foundation/options.ts'
import { createTestDatabase } from './kit/database.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const run = promisify(execFile)

test('the program of the README compiles and prints what its last comment says', async () => {
  const program = block('readme.test.ts runs this program', 'ts')
  const expected = /console\.log\(rows\) \/\/ (.*)/.exec(program)?.[1]
  const folder = await project(program)
  const environment = await servers()

  const errors = await compile(folder)
  const output = await run(process.execPath, ['--import', join(root, 'test/kit/package-from-source.ts'), join(folder, 'main.ts')], {
    env: { PATH: process.env['PATH'], LOG_LEVEL: 'error', ...environment },
    timeout: 25_000,
  })

  expect(errors).toEqual([])
  expect(output.stdout.trim()).toBe(expected)
}, 60_000)

test('the contract of the README is the one in schemas/', () => {
  const printed: unknown = JSON.parse(block('readme.test.ts compares this file', 'json'))

  const kept: unknown = JSON.parse(readFileSync(join(root, 'schemas/stock/ReserveStock.v1.avsc'), 'utf8'))

  expect(printed).toEqual(kept)
})

test('every guarantee names the file that proves it, or says what is missing', () => {
  const rows = table('| | Promise |')

  expect(rows.map(([name = '']) => name.replaceAll('*', '').split(' ')[0])).toEqual(
    Array.from({ length: 10 }, (_, index) => `G${index + 1}`),
  )
  for (const [name = '', , proof = ''] of rows) {
    const files = [...proof.matchAll(/`(test\/[^`]+)`/g)].map((match) => match[1] ?? '')
    const missing = files.filter((file) => !existsSync(join(root, file)))
    expect({ name, missing }).toEqual({ name, missing: [] })
    const says = /\*(not yet|partly)\*: .{10,}/i.test(proof)
    expect({ name, proved: files.length > 0 || says }).toEqual({ name, proved: true })
  }
})

test('every link of the README leads to a file', () => {
  const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map((match) => match[1] ?? '')

  expect(links.filter((link) => !existsSync(join(root, link)))).toEqual([])
})

const tables = [
  {
    heading: '| Option |',
    schema: backboneOptions,
    minimal: {
      service: 'a',
      kafka: { driver: 'kafkajs', brokers: ['localhost:9092'] },
      database: { connectionString: 'postgres://localhost/a' },
      registry: { url: 'http://localhost:8081' },
      health: { port: 0 },
    },
  },
  { heading: '| Subscription option |', schema: subscriptionOptions, minimal: {} },
  { heading: '| Group option |', schema: groupOptions, minimal: {} },
] as const

for (const { heading, schema, minimal } of tables) {
  test(`the table under "${heading}" has every option, with its default and its limits`, () => {
    const rows = table(heading).map(([name = '', standard = '', limits = '']) => ({ name: bare(name), standard, limits }))
    const names = rows.map(({ name }) => name)
    const parsed = parseOptions(schema, minimal, 'the README')

    expect(leavesOf(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })).filter((leaf) => !covers(names, leaf))).toEqual([])
    const defaults = rows.filter(({ name }) => at(minimal, name) === undefined)
    expect(defaults.map(({ name, standard }) => [name, valueIn(standard)])).toEqual(defaults.map(({ name }) => [name, at(parsed, name)]))
    const edges = rows.flatMap(({ name, limits }) => edgesOf(limits).map((edge) => ({ name, ...edge })))
    const judged = edges.map((edge) => ({ ...edge, allowed: schema.safeParse(put(minimal, edge.name.split('.'), edge.value)).success }))
    expect(judged).toEqual(edges)
  })
}

/** The README's program beside contracts that were generated from the schemas. */
async function project(program: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'trunkline-readme-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  generateContracts({ schemas: join(root, 'schemas'), out: join(folder, 'contracts') })
  await writeFile(join(folder, 'main.ts'), program)
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
  const compilerOptions = { typeRoots: [join(root, 'node_modules/@types')] }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ extends: join(root, 'tsconfig.json'), compilerOptions, include: ['.'] }))
  return folder
}

/** @returns what the compiler says about the program; what it says about our own sources is for another check */
async function compile(folder: string): Promise<string[]> {
  const { stdout } = await run(join(root, 'node_modules/.bin/tsc'), ['-p', '.'], { cwd: folder }).catch((error: unknown) =>
    compilerOutput.parse(error),
  )
  return stdout.split('\n').filter((line) => /^(main|contracts)/.test(line))
}

const compilerOutput = z.object({ code: z.number(), stdout: z.string() })

async function servers(): Promise<Record<string, string>> {
  const database = await createTestDatabase()
  onTestFinished(() => database.drop())
  const brokers = inject('brokers')
  if (brokers.length === 0) return { DATABASE_URL: database.url, KAFKA_DRIVER: 'memory' }
  // Other suites share the brokers: the prefix keeps this program's topics and groups apart from theirs.
  const prefix = `${inject('runPrefix')}readme.`
  const topics = [...new Set(loadSchemas(join(root, 'schemas')).flatMap(({ routing }) => (routing === null ? [] : [routing.topic])))]
  const { admin } = kafkajsLog({ brokers, clientId: 'readme' })
  await admin.createTopics(topics.map((topic) => ({ name: prefix + topic, partitions: 2, replicationFactor: 1 })))
  await admin.close()
  return { DATABASE_URL: database.url, KAFKA_BROKERS: brokers.join(','), KAFKA_PREFIX: prefix }
}

/** @throws Error the README has no such block: it must be found again, not skipped */
function block(marker: string, language: string): string {
  const text = readme.split(marker)[1]?.split(`\`\`\`${language}\n`)[1]?.split('\n```')[0]
  if (text === undefined) throw new Error(`The README has no ${language} block after "${marker}".`)
  return text
}

/** The cells of a table's rows. @throws Error the README has no such table */
function table(heading: string): string[][] {
  const start = readme.indexOf(`\n${heading}`)
  if (start < 0) throw new Error(`The README has no table that begins with "${heading}".`)
  const lines = readme.slice(start + 1).split('\n')
  const end = lines.findIndex((line) => !line.startsWith('|'))
  return lines.slice(2, end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

function bare(cell: string): string {
  return cell.replaceAll('`', '')
}

/** What a cell says: a number, a text or a duration; words without quotes mean that there is no default. */
function valueIn(cell: string): unknown {
  const text = bare(cell)
  if (text === '{}') return {}
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text)
  const list = /^\[(.*)\]$/.exec(text)?.[1]
  if (list !== undefined) return list === '' ? [] : list.split(', ').map(valueIn)
  if (text === 'true' || text === 'false') return text === 'true'
  const quoted = /^'(.*)'$/.exec(text)?.[1]
  return quoted === undefined ? undefined : (durationMs(quoted) ?? quoted)
}

/** The least and the greatest value are allowed, the next ones are not. */
function edgesOf(cell: string): { value: unknown; allowed: boolean }[] {
  const [least, greatest] = bare(cell).split('–').map(valueIn)
  if (typeof least !== 'number' || typeof greatest !== 'number') return []
  const written = (value: number): unknown => (cell.includes("'") ? `${value}ms` : value)
  return [
    { value: written(least), allowed: true },
    { value: written(greatest), allowed: true },
    { value: written(least - 1), allowed: false },
    { value: written(greatest + 1), allowed: false },
  ]
}

function leavesOf(schema: unknown, path = ''): string[] {
  if (!isRecord(schema)) return [path]
  const variants = [schema['oneOf'], schema['anyOf']].find(Array.isArray)
  if (variants?.some((variant) => isRecord(variant) && isRecord(variant['properties'])))
    return variants.flatMap((variant) => leavesOf(variant, path))
  const { properties } = schema
  if (!isRecord(properties)) return [path]
  return Object.entries(properties).flatMap(([name, inner]) => leavesOf(inner, path === '' ? name : `${path}.${name}`))
}

function covers(names: readonly string[], leaf: string): boolean {
  return names.some((name) => leaf === name || leaf.startsWith(`${name}.`))
}

function at(value: unknown, path: string): unknown {
  return path.split('.').reduce((inner: unknown, name) => (isRecord(inner) ? inner[name] : undefined), value)
}

function put(value: unknown, [name = '', ...rest]: readonly string[], leaf: unknown): Record<string, unknown> {
  const record = isRecord(value) ? value : {}
  return { ...record, [name]: rest.length === 0 ? leaf : put(record[name], rest, leaf) }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

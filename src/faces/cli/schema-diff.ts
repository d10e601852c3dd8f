import { existsSync, readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { Command } from 'commander'
import { incompatibilities } from '../../core/contract/compatibility.ts'
import { type Difference, differences } from '../../core/contract/difference.ts'
import { type CompatibilityLevel, type CompatibilityPolicy, type Direction, directionsOf, explain } from '../../core/contract/evolution.ts'
import { loadSchemas, type SchemaFile } from '../../core/contract/schema-files.ts'
import { ConfigurationError, isTrunklineError, messageOf } from '../../foundation/errors.ts'
import { nearest } from '../../foundation/options.ts'
import { exitCodes } from './exit-codes.ts'
import { loadSchemaProject, schemasFlag } from './schema-project.ts'

/** Why one side cannot read the other. */
interface Reason {
  /** Into the schema of the second side, through references as if they were written out. */
  readonly pointer: string
  readonly rule: string
  readonly problem: string
}

/** What is different between two schemas, and what follows from it. */
export interface SchemaDiff {
  readonly before: string
  readonly after: string
  readonly level: CompatibilityLevel
  readonly differences: readonly Difference[]
  /** Why the second cannot read what the first wrote; empty when it can. */
  readonly backward: readonly Reason[]
  /** Why the first cannot read what the second wrote; empty when it can. */
  readonly forward: readonly Reason[]
  /** Whether the project's level is kept. */
  readonly compatible: boolean
}

/** `trunkline schema diff A B`: what changed, in words. */
export function diffCommand(): Command {
  return new Command('diff')
    .description("say in words what changed between two schemas, and who can read whom; exit 3 when they break the project's level")
    .argument('<before>', 'a file, or a version of a message: OrderPlaced.v1')
    .argument('<after>', 'the same')
    .option(...schemasFlag)
    .option('--json', 'print one JSON object: {before, after, level, differences, backward, forward, compatible}')
    .action(async (before: string, after: string, flags: { schemas?: string; json?: boolean }) => {
      const { schemas, schema } = await loadSchemaProject(flags)
      const diff = diffSchemas(schemas, schema, before, after)
      if (flags.json === true) console.log(JSON.stringify(diff))
      else print(diff)
      if (!diff.compatible) process.exitCode = exitCodes.findings
    })
}

/** @throws ConfigurationError `SCHEMA_UNKNOWN`: no such file or version · `SCHEMA_INVALID`: it cannot be used */
export function diffSchemas(schemas: string, policy: CompatibilityPolicy, before: string, after: string): SchemaDiff {
  const project = new Project(schemas)
  const [a, b] = [project.find(before), project.find(after)]
  const reasons = (reader: Side, writer: Side, direction: Direction): Reason[] =>
    incompatibilities(reader.schema, writer.schema, (name) => project.lookUp(name)).map((found) => ({
      pointer: direction === 'backward' ? found.reader : found.writer,
      rule: found.kind,
      problem: explain(found, direction).problem,
    }))
  const level = policy.overrides[b.name] ?? policy.compatibility
  const found = { backward: reasons(b, a, 'backward'), forward: reasons(a, b, 'forward') }
  const compatible = directionsOf(level).every((direction) => found[direction].length === 0)
  return { before: a.label, after: b.label, level, differences: differences(a.json, b.json), ...found, compatible }
}

/** One of the two schemas. */
interface Side {
  readonly label: string
  readonly name: string
  /** As it stands in its file. */
  readonly json: unknown
  /** The same with references written out, where the project knows them. */
  readonly schema: unknown
}

/** The folder of schemas; a file from elsewhere can be compared without one. */
class Project {
  readonly #folder: string
  readonly #files: readonly SchemaFile[]

  constructor(folder: string) {
    this.#folder = folder
    this.#files = filesIn(folder)
  }

  find(nameOrPath: string): Side {
    const path = resolve(nameOrPath)
    const file = this.#files.find((each) => resolve(this.#folder, each.file) === path) ?? this.#version(nameOrPath)
    if (file !== undefined) {
      const label = join(this.#folder, file.file)
      return { label, name: file.name, json: parse(label), schema: file.schema }
    }
    if (!existsSync(path)) throw this.#unknown(nameOrPath)
    const json = parse(path)
    return { label: relative(process.cwd(), path), name: fullNameOf(json), json, schema: json }
  }

  lookUp(name: string): unknown {
    return this.#version(name)?.schema ?? this.#files.find((each) => each.name === name && each.version === 1)?.schema
  }

  /** `shop.orders.OrderPlaced.v1`, or `OrderPlaced.v1` where only one message is called that. */
  #version(text: string): SchemaFile | undefined {
    const [, name = '', version] = /^(.+)\.v(\d+)$/.exec(text) ?? []
    const found = this.#files.filter((file) => file.version === Number(version) && (file.name === name || file.name.endsWith(`.${name}`)))
    if (found.length < 2) return found[0]
    throw new ConfigurationError('SCHEMA_UNKNOWN', `"${text}" may be ${found.map(typeOf).join(' or ')}. Write the full name.`, {
      name: text,
    })
  }

  #unknown(text: string): ConfigurationError {
    const names = this.#files.flatMap((file) => [typeOf(file), typeOf(file).slice(file.name.lastIndexOf('.') + 1)])
    const near = nearest(text, names)
    const hint = near === undefined ? '' : ` (did you mean "${near}"?)`
    return new ConfigurationError(
      'SCHEMA_UNKNOWN',
      `"${text}" is neither a file nor a version of a schema in ${this.#folder}${hint}. Write a path, or a name with its version: OrderPlaced.v1.`,
      { name: text },
    )
  }
}

function filesIn(folder: string): readonly SchemaFile[] {
  try {
    return loadSchemas(resolve(folder))
  } catch (error) {
    if (isTrunklineError(error, 'SCHEMAS_MISSING')) return []
    throw error
  }
}

function typeOf(file: SchemaFile): string {
  return `${file.name}.v${file.version}`
}

function parse(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new ConfigurationError('SCHEMA_INVALID', `${path} is not JSON: ${messageOf(error)}. Correct it there.`, { path }, error)
  }
}

function fullNameOf(json: unknown): string {
  if (typeof json !== 'object' || json === null) return ''
  const [name, namespace] = [Reflect.get(json, 'name'), Reflect.get(json, 'namespace')].map(String)
  return namespace === 'undefined' ? String(name) : `${namespace}.${name}`
}

function print(diff: SchemaDiff): void {
  const width = Math.max(...diff.differences.map(({ pointer }) => pointer.length), 1)
  console.log(`${diff.before} -> ${diff.after}`)
  for (const { pointer, text } of diff.differences) console.log(`  ${(pointer === '' ? '/' : pointer).padEnd(width)}  ${text}`)
  if (diff.differences.length === 0) console.log('  nothing changed')
  printVerdict(`${diff.after} reads what ${diff.before} wrote`, diff.backward)
  printVerdict(`${diff.before} reads what ${diff.after} wrote`, diff.forward)
  if (!diff.compatible) console.error(`This breaks ${diff.level}. docs/contracts.md says what to do.`)
}

function printVerdict(question: string, reasons: readonly Reason[]): void {
  console.log(`\n${question}: ${reasons.length === 0 ? 'yes' : 'no'}`)
  for (const { pointer, rule, problem } of reasons) console.log(`  ${pointer === '' ? '/' : pointer}  ${rule}: ${problem}`)
}

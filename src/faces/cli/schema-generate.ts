import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Command, Option } from 'commander'
import { GENERATED_BY, type GenerateOptions, generate } from '../../core/contract/generate.ts'
import { loadSchemas } from '../../core/contract/schema-files.ts'
import { messageOf } from '../../foundation/errors.ts'
import { exitCodes } from './exit-codes.ts'
import { interruption } from './interruption.ts'
import { loadSchemaProject, schemasFlag } from './schema-project.ts'

/** What one file of generated code was, and is to be. */
export interface GeneratedFile {
  readonly path: string
  readonly change: 'new' | 'changed' | 'unchanged' | 'stale'
}

/** Where the schemas are, where the code goes, and how it looks. */
interface Generation extends GenerateOptions {
  readonly schemas: string
  readonly out: string
  /** Only tell what would change. */
  readonly check?: boolean
}

interface Flags {
  readonly check?: boolean
  readonly watch?: boolean
  readonly json?: boolean
  readonly schemas?: string
  readonly out?: string
}

/** `trunkline schema generate` */
export function generateCommand(): Command {
  return new Command('generate')
    .description('write one TypeScript file for each folder of schemas')
    .option('--check', 'write nothing; exit 3 when a generated file is not what the schemas say')
    .addOption(new Option('--watch', 'generate again whenever a schema changes, until interrupted').conflicts('check'))
    .option(...schemasFlag)
    .option('--out <folder>', 'where the code goes (default: "schema.out" of trunkline.config.ts, or src/contracts)')
    .option('--json', 'one JSON list instead of lines; with --watch, one each time')
    .action(async (flags: Flags) => {
      const { schemas, schema } = await loadSchemaProject(flags)
      const { out, importExtension } = schema
      const generation = { schemas, out: flags.out ?? out, importExtension, check: flags.check ?? false }
      if (flags.watch === true) await generateUntilInterrupted(generation, flags)
      else report(generateContracts(generation), generation, flags)
    })
}

async function generateUntilInterrupted(generation: Generation, flags: Flags): Promise<void> {
  using stop = interruption()
  const watching = watchContracts(generation, stop.signal, (result) => {
    if (result instanceof Error) console.error(messageOf(result))
    else report(result, generation, flags)
  })
  console.error(`Watching ${generation.schemas}; Ctrl-C ends it.`)
  await watching
}

function report(files: readonly GeneratedFile[], { schemas, check }: Generation, { json }: Flags): void {
  if (json === true) console.log(JSON.stringify(files))
  else for (const file of files) console.log(`${file.change.padEnd(9)}  ${file.path}`)
  if (files.length === 0) console.error(`There are no messages in ${schemas}. Add one: ${join(schemas, '<domain>', '<Name>.v1.avsc')}`)
  if (check !== true || files.every((file) => file.change === 'unchanged')) return
  console.error(`Generated code differs from ${schemas}: run "trunkline schema generate" and commit the result.`)
  process.exitCode = exitCodes.findings
}

/** Editors write a file in several steps, and a checkout writes many. */
const QUIET_MS = 50

/**
 * Generates now and after every change below the folder of schemas.
 *
 * @param onGenerated what was written, or the error of a schema that cannot be used; it goes on after one
 * @returns when `signal` aborts
 * @throws ConfigurationError `SCHEMAS_MISSING`: there is no such folder
 */
export async function watchContracts(
  generation: Generation,
  signal: AbortSignal,
  onGenerated: (result: readonly GeneratedFile[] | Error) => void,
): Promise<void> {
  const again = (): void => onGenerated(attempt(() => generateContracts(generation)))
  let timer: NodeJS.Timeout | undefined
  // Its error says better what to do than the watcher's.
  if (!existsSync(generation.schemas)) generateContracts(generation)
  // Before the first time, so that no change falls between.
  const watcher = watch(generation.schemas, { recursive: true }, () => {
    clearTimeout(timer)
    timer = setTimeout(again, QUIET_MS)
  })
  again()
  await new Promise<void>((done) => {
    if (signal.aborted) done()
    signal.addEventListener('abort', () => done(), { once: true })
  })
  clearTimeout(timer)
  watcher.close()
}

function attempt<Result>(work: () => Result): Result | Error {
  try {
    return work()
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

/**
 * Brings a folder of generated code up to date; files of ours that no schema asks for any more are removed.
 *
 * @throws ConfigurationError a schema file cannot be used; nothing was written
 */
export function generateContracts({ schemas, out, check = false, ...options }: Generation): readonly GeneratedFile[] {
  const texts = generate(loadSchemas(resolve(schemas)), options)
  const files: GeneratedFile[] = [...texts].map(([name, text]) => ({ path: join(out, name), change: changeOf(join(out, name), text) }))
  const stale = generatedIn(out).filter((name) => !texts.has(name))
  files.push(...stale.map((name): GeneratedFile => ({ path: join(out, name), change: 'stale' })))
  if (check) return files
  mkdirSync(out, { recursive: true })
  for (const [name, text] of texts) if (changeOf(join(out, name), text) !== 'unchanged') writeFileSync(join(out, name), text)
  for (const name of stale) rmSync(join(out, name))
  return files
}

function changeOf(path: string, text: string): 'new' | 'changed' | 'unchanged' {
  if (!existsSync(path)) return 'new'
  return readFileSync(path, 'utf8') === text ? 'unchanged' : 'changed'
}

/** Only what says that we wrote it: other files of the folder are the user's. */
function generatedIn(out: string): string[] {
  if (!existsSync(out)) return []
  return readdirSync(out)
    .filter((name) => name.endsWith('.ts') && readFileSync(join(out, name), 'utf8').startsWith(GENERATED_BY))
    .sort()
}

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Command } from 'commander'
import { z } from 'zod'
import { backboneOptions } from '../../config.ts'
import { GENERATED_BY, generate } from '../../core/contract/generate.ts'
import { loadSchemas } from '../../core/contract/schema-files.ts'
import { parseOptions } from '../../foundation/options.ts'
import { loadConfigFile } from './config-file.ts'
import { exitCodes } from './exit-codes.ts'

const projectOptions = z.object({ schemas: backboneOptions.shape.schemas, schema: backboneOptions.shape.schema })

/** What one file of generated code was, and is to be. */
export interface GeneratedFile {
  readonly path: string
  readonly change: 'new' | 'changed' | 'unchanged' | 'stale'
}

/** `trunkline schema`: from Avro files to typed messages. */
export function schemaCommand(): Command {
  const command = new Command('schema').description('Avro schemas and the TypeScript that is generated from them')
  command
    .command('generate')
    .description('write one TypeScript file for each folder of schemas')
    .option('--check', 'write nothing; exit 3 when a generated file is not what the schemas say')
    .option('--schemas <folder>', 'where the .avsc files are (default: "schemas" of trunkline.config.ts, or schemas)')
    .option('--out <folder>', 'where the code goes (default: "schema.out" of trunkline.config.ts, or src/contracts)')
    .action(async (flags: { check?: boolean; schemas?: string; out?: string }) => {
      const config = parseOptions(projectOptions, await loadConfigFile(process.cwd()), 'trunkline.config.ts')
      const schemas = flags.schemas ?? config.schemas
      const files = generateContracts(schemas, flags.out ?? config.schema.out, flags.check ?? false)
      const differing = files.filter((file) => file.change !== 'unchanged')
      for (const file of files) console.log(`${file.change.padEnd(9)}  ${file.path}`)
      if (files.length === 0) console.error(`There are no messages in ${schemas}. Add one: ${join(schemas, '<domain>', '<Name>.v1.avsc')}`)
      if (flags.check !== true || differing.length === 0) return
      console.error(`Generated code differs from ${schemas}: run "trunkline schema generate" and commit the result.`)
      process.exitCode = exitCodes.findings
    })
  return command
}

/**
 * Brings a folder of generated code up to date; files of ours that no schema asks for any more are removed.
 *
 * @param check only tell what would change
 * @throws ConfigurationError a schema file cannot be used; nothing was written
 */
export function generateContracts(schemas: string, out: string, check: boolean): readonly GeneratedFile[] {
  const texts = generate(loadSchemas(resolve(schemas)))
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

import { join, resolve } from 'node:path'
import { Command } from 'commander'
import { type CompatibilityPolicy, checkEvolution } from '../../core/contract/evolution.ts'
import type { Finding } from '../../core/contract/finding.ts'
import { lint } from '../../core/contract/lint.ts'
import { loadSchemas, type SchemaFile } from '../../core/contract/schema-files.ts'
import { isTrunklineError } from '../../foundation/errors.ts'
import { exitCodes } from './exit-codes.ts'
import { releasedFileChanges } from './released-files.ts'
import { loadSchemaProject, schemasFlag } from './schema-project.ts'

interface CheckFlags {
  readonly base?: string
  readonly schemas?: string
  readonly json?: boolean
}

/** What was checked, and what was found. */
export interface SchemaCheck {
  readonly files: number
  readonly findings: readonly Finding[]
}

/** `trunkline schema check`: what would hurt if these files were released. */
export function checkCommand(): Command {
  return new Command('check')
    .description(
      'find what would break somebody: style, compatibility of all versions, changed released files; exit 3 when there is something',
    )
    .option('--base <revision>', 'a git revision whose schema files are released: they must not change, for example origin/main')
    .option(...schemasFlag)
    .option('--json', 'print one JSON object: {files, findings: [{file, pointer, rule, problem, mend}]}')
    .action(async (flags: CheckFlags) => {
      const { schemas, schema } = await loadSchemaProject(flags)
      const check = checkSchemas(schemas, schema, flags.base)
      if (flags.json === true) console.log(JSON.stringify(check))
      else print(schemas, check)
      if (check.findings.length > 0) process.exitCode = exitCodes.findings
    })
}

/**
 * Lints the schema files, compares all versions, and with `base` the released files with what they were.
 *
 * @throws ConfigurationError `SCHEMAS_MISSING`, `OPTION_INVALID` (an override for nothing), `BASE_UNKNOWN`. A file that
 *   cannot be used is a finding, and the only one: the others are judged when it is mended
 */
export function checkSchemas(schemas: string, policy: CompatibilityPolicy, base?: string): SchemaCheck {
  const released = base === undefined ? [] : releasedFileChanges(resolve(schemas), base)
  const loaded = load(schemas)
  if (!Array.isArray(loaded)) return { files: 0, findings: [...released, loaded] }
  const findings = [...released, ...lint(loaded), ...checkEvolution(loaded, policy)]
  // Together by file, as they will be mended; within a file as they were found.
  return { files: loaded.length, findings: findings.toSorted((a, b) => Number(a.file > b.file) - Number(a.file < b.file)) }
}

function load(schemas: string): SchemaFile[] | Finding {
  try {
    return [...loadSchemas(resolve(schemas))]
  } catch (error) {
    if (!isTrunklineError(error, 'SCHEMA_INVALID')) throw error
    const [file, pointer] = [String(error.details['where']), String(error.details['pointer'])]
    const problem = error.message.slice(`${file}#${pointer}: `.length)
    return { file, pointer, rule: 'SCHEMA_INVALID', problem, mend: 'Then run the check again: the other files were not looked at.' }
  }
}

function print(schemas: string, { files, findings }: SchemaCheck): void {
  for (const { file, pointer, rule, problem, mend } of findings)
    console.log(`${join(schemas, file)}#${pointer}  ${rule}\n  ${problem}\n  ${mend}\n`)
  const places = new Set(findings.map((finding) => finding.file)).size
  if (files + findings.length === 0)
    console.error(`There are no schema files in ${schemas}. Add one: ${join(schemas, '<domain>', '<Name>.v1.avsc')}`)
  else if (findings.length === 0) console.error(`${count(files, 'schema file')}: nothing to object to.`)
  else console.error(`${count(findings.length, 'finding')} in ${count(places, 'file')}.`)
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

import { z } from 'zod'
import { backboneOptions } from '../../config.ts'
import { parseOptions } from '../../foundation/options.ts'
import { loadConfigFile } from './config-file.ts'

const projectOptions = z.object({ schemas: backboneOptions.shape.schemas, schema: backboneOptions.shape.schema })

/** What the schema commands need of a project's configuration. */
export type SchemaProject = z.output<typeof projectOptions>

/** For every command that reads the files. */
export const schemasFlag = [
  '--schemas <folder>',
  'where the .avsc files are (default: "schemas" of trunkline.config.ts, or schemas)',
] as const

/**
 * Reads `trunkline.config.ts` in the working directory; a flag is stronger.
 *
 * @throws ConfigurationError `CONFIG_FILE_INVALID`, `OPTION_INVALID`
 */
export async function loadSchemaProject(flags: { readonly schemas?: string }): Promise<SchemaProject> {
  const project = parseOptions(projectOptions, await loadConfigFile(process.cwd()), 'trunkline.config.ts')
  return { ...project, schemas: flags.schemas ?? project.schemas }
}

import { Command } from 'commander'
import { checkCommand } from './schema-check.ts'
import { diffCommand } from './schema-diff.ts'
import { generateCommand } from './schema-generate.ts'
import { registerCommand } from './schema-register.ts'

/** `trunkline schema`: from Avro files to typed messages. */
export function schemaCommand(): Command {
  return new Command('schema')
    .description('Avro schemas and the TypeScript that is generated from them')
    .addCommand(generateCommand())
    .addCommand(checkCommand())
    .addCommand(diffCommand())
    .addCommand(registerCommand())
}

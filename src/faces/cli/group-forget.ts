import { Command } from 'commander'
import { PostgresAuditLog } from '../../adapters/postgres/audit-log.ts'
import { PostgresHandledTypes } from '../../adapters/postgres/handled-types.ts'
import { forgetType, type HandledType } from '../../core/consume/handled-types.ts'
import { ConfigurationError } from '../../foundation/errors.ts'
import { nearest } from '../../foundation/options.ts'
import { type ActFlags, consent, takesConsent } from './consent.ts'
import { type AddressFlags, actor, takesDatabase, takesJson, withDatabase } from './operator.ts'
import { printJson, say } from './print.ts'

type Flags = AddressFlags & ActFlags & { readonly json?: boolean }

export function groupForgetCommand(): Command {
  const command = new Command('forget')
    .description('say that no build of a group will handle a type again: its messages are passed over, not set aside')
    .argument('<group>')
    .argument('<type>', 'without its version: shop.orders.OrderPlaced')
  return takesJson(takesConsent(takesDatabase(command))).action(async (group: string, type: string, flags: Flags) => {
    await withDatabase(flags, 'group forget', async (database) => {
      const types = new PostgresHandledTypes(database)
      const { name, waiting } = forgettable(group, type, await types.list(group))
      const reason = await consent(flags, `Let group "${group}" pass over ${name} from now on, which no running process of it handles`)
      if (reason === undefined) return
      const parts = { types, audit: new PostgresAuditLog(database) }
      const forgotten = await database.transaction((tx) => forgetType(parts, tx, { group, name }, { actor: actor(), reason }))
      // Between the look and the act a process may have come.
      if (!forgotten) forgettable(group, name, await types.list(group))
      if (flags.json === true) return printJson({ group, name, forgotten, waiting })
      say(`Group "${group}" passes over ${name} from now on; the first time, an incident says so. A build that handles it brings it back.`)
      if (waiting > 0) {
        say(
          `${waiting} messages of it wait for a build that handles them, and hold their keys: "trunkline failure discard --group ${group} --type ${name}" lets them go.`,
        )
      }
    })
  })
}

/** @throws ConfigurationError `GROUP_UNKNOWN`, `TYPE_UNKNOWN`, `TYPE_HANDLED` */
function forgettable(group: string, type: string, known: readonly HandledType[]): HandledType {
  const found = known.find(({ name }) => name === type)
  if (found === undefined) throw typeUnknown(group, type, known)
  if (found.processes === 0) return found
  throw new ConfigurationError(
    'TYPE_HANDLED',
    `${found.name} is handled by ${found.processes} of the running processes of group "${group}", so it was not forgotten. Stop them, or deploy a build without that handler, then forget it.`,
    { group, type },
  )
}

function typeUnknown(group: string, type: string, known: readonly HandledType[]): ConfigurationError {
  const details = { group, type }
  const names = known.map(({ name }) => name)
  if (names.length === 0) {
    const message = `No build of a group "${group}" has handled anything in this database. See "trunkline group list".`
    return new ConfigurationError('GROUP_UNKNOWN', message, details)
  }
  const near = nearest(type, names)
  const hint = near === undefined ? `It has handled: ${names.join(', ')}.` : `Did you mean "${near}"?`
  return new ConfigurationError('TYPE_UNKNOWN', `No build of group "${group}" has handled "${type}". ${hint}`, details)
}

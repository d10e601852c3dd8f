import { Command } from 'commander'
import { Backbone } from '../../backbone.ts'
import { backboneOptions } from '../../config.ts'
import { parseOptions } from '../../foundation/options.ts'
import { loadConfigFile } from './config-file.ts'
import { type AddressFlags, databaseUrl, kafkaGiven, takesDatabase, takesKafka } from './operator.ts'
import { say } from './print.ts'

interface RelayFlags extends AddressFlags {
  readonly service?: string
}

const helpText = `
It starts itself again, once, as "node --max-semi-space-size=4 --heap-growing-percent=20", so that Node keeps its memory
small. A --max-semi-space-size of your own in NODE_OPTIONS stays as it is, and nothing is started again; with 0 Node decides.`

/** `trunkline relay`: the outbox is emptied by a process of its own. */
export function relayCommand(): Command {
  const command = new Command('relay')
    .description('empty the outbox of a service from a process of its own; run several for stand-by, one works at a time')
    .option('--service <name>', 'for names in Kafka and PostgreSQL (default: "service" of trunkline.config.ts, or relay)')
    .addHelpText('after', helpText)
  return takesKafka(takesDatabase(command)).action(async (flags: RelayFlags) => {
    const config = await loadConfigFile(process.cwd())
    const given = {
      ...config,
      service: flags.service ?? config.service ?? 'relay',
      // A thread of 20 MB for what cannot happen here: no handler runs, and an owner that stands still loses its lease.
      watchdog: config.watchdog ?? false,
      kafka: await kafkaGiven(flags),
      database: { connectionString: await databaseUrl(flags) },
    }
    const backbone = new Backbone(parseOptions(backboneOptions, given, 'trunkline relay'))
    await backbone.run({ run: ['relay'] })
    say('The relay runs. SIGTERM or Ctrl-C stops it: it sends what it has read, and hands over at once.')
    await backbone.finished
  })
}

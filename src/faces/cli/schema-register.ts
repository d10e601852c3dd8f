import { resolve } from 'node:path'
import { Command } from 'commander'
import { z } from 'zod'
import { RegistryClient } from '../../adapters/registry/registry-client.ts'
import { backboneOptions } from '../../config.ts'
import { CommandSettled } from '../../core/contract/command-settled.ts'
import { type ContractVersion, typeOf } from '../../core/contract/contract.ts'
import { type SchemaRegistry, type SubjectStrategy, subjectOf } from '../../core/contract/registry.ts'
import { loadSchemas, type SchemaFile } from '../../core/contract/schema-files.ts'
import { registrySchemaOf } from '../../core/contract/schema-ids.ts'
import { systemClock } from '../../foundation/clock.ts'
import { ConfigurationError, isTrunklineError } from '../../foundation/errors.ts'
import { parseOptions } from '../../foundation/options.ts'
import { loadConfigFile } from './config-file.ts'
import { exitCodes } from './exit-codes.ts'
import { schemasFlag } from './schema-project.ts'

const projectOptions = z.object({
  schemas: backboneOptions.shape.schemas,
  registry: backboneOptions.shape.registry,
  kafka: z.object({ prefix: z.string().default('') }).optional(),
})

interface RegisterFlags {
  readonly url?: string
  readonly schemas?: string
  readonly dryRun?: boolean
  readonly json?: boolean
}

/** What became of one version. */
export interface Registration {
  readonly subject: string
  readonly type: string
  readonly state: 'present' | 'registered' | 'new' | 'refused'
  /** The registry's id; `null` where it has none yet. */
  readonly id: number | null
  /** Why it is refused. */
  readonly reasons: readonly string[]
}

/** A version and where it belongs. */
interface Entry {
  readonly subject: string
  readonly type: string
  readonly version: Pick<ContractVersion, 'schema'>
}

/** `trunkline schema register`: what a service may otherwise do itself, before it is deployed. */
export function registerCommand(): Command {
  return new Command('register')
    .description('register every version of every message in a schema registry, oldest first; what is there stays as it is')
    .option('--dry-run', 'register nothing; ask the registry what it has and what it would take')
    .option('--url <address>', 'the registry (default: REGISTRY_URL, or "registry" of trunkline.config.ts)')
    .option(...schemasFlag)
    .option('--json', 'print one JSON array: [{subject, type, state, id, reasons}]')
    .action(async (flags: RegisterFlags) => {
      const project = await loadProject(flags)
      const registrations = registerAll(project.registry, entriesOf(project), flags.dryRun === true)
      process.exitCode = await print(registrations, flags.json === true)
    })
}

interface Project {
  readonly files: readonly SchemaFile[]
  readonly registry: SchemaRegistry
  readonly subjects: SubjectStrategy
  readonly topicPrefix: string
}

async function loadProject(flags: RegisterFlags): Promise<Project> {
  const config = parseOptions(projectOptions, await loadConfigFile(process.cwd()), 'trunkline.config.ts')
  return {
    files: loadSchemas(resolve(flags.schemas ?? config.schemas)),
    registry: registryOf(config.registry, flags.url ?? (process.env['REGISTRY_URL'] || undefined)),
    subjects: config.registry?.subjects ?? 'TopicRecordName',
    topicPrefix: process.env['KAFKA_PREFIX'] ?? config.kafka?.prefix ?? '',
  }
}

function registryOf(config: z.output<typeof projectOptions>['registry'], given: string | undefined): SchemaRegistry {
  if (given === undefined && config !== undefined && 'client' in config) return config.client
  const options = config !== undefined && 'url' in config ? config : undefined
  const url = given ?? options?.url
  if (url === undefined) {
    throw new ConfigurationError(
      'REGISTRY_UNSET',
      'No schema registry is named. Give --url, set REGISTRY_URL, or write registry: { url: "http://localhost:8081" } into trunkline.config.ts.',
    )
  }
  const { timeout } = parseOptions(urlOptions, { url }, '--url')
  // A login belongs to the registry that it was written for.
  const auth = url === options?.url ? options.auth : undefined
  return new RegistryClient({ clock: systemClock }, { url, auth, timeoutMs: options?.timeout ?? timeout })
}

const urlOptions = z.object({ url: z.url({ protocol: /^https?$/ }), timeout: z.number().default(5_000) })

/** Messages only, each version before the next: the types that they refer to are part of their schemas. */
function entriesOf({ files, subjects, topicPrefix }: Project): Entry[] {
  const entries: Entry[] = []
  const replyTopics = new Set<string>()
  for (const { name, version, schema, routing } of files) {
    if (routing === null) continue
    entries.push({ subject: subjectOf(subjects, topicPrefix + routing.topic, name), type: typeOf(name, version), version: { schema } })
    if (routing.kind === 'reply') replyTopics.add(routing.topic)
  }
  // What the participant guard answers with travels on the topics of the other replies.
  const { name, versions } = CommandSettled.definition
  for (const topic of replyTopics) {
    const subject = subjectOf(subjects, topicPrefix + topic, name)
    entries.push(...versions.map((version) => ({ subject, type: typeOf(name, version.version), version })))
  }
  return entries
}

/**
 * Registers in order, and stops at the first version that the registry refuses: those after it would be compared with
 * a history that lacks it.
 *
 * @throws TransientError, ConfigurationError `REGISTRY_…`: what came before stays registered; run it again
 */
export async function* registerAll(registry: SchemaRegistry, entries: readonly Entry[], dryRun: boolean): AsyncGenerator<Registration> {
  for (const entry of entries) {
    const { subject, type } = entry
    const registration = await (dryRun ? lookUp(registry, entry) : register(registry, entry)).catch((error: unknown): Registration => {
      if (!isTrunklineError(error, 'REGISTRY_INCOMPATIBLE') && !isTrunklineError(error, 'REGISTRY_SCHEMA_REFUSED')) throw error
      return { subject, type, state: 'refused', id: null, reasons: [error.message] }
    })
    yield registration
    if (registration.state === 'refused' && !dryRun) return
  }
}

async function register(registry: SchemaRegistry, { subject, type, version }: Entry): Promise<Registration> {
  const schema = registrySchemaOf(version)
  const found = await registry.find?.(subject, schema)
  if (found !== undefined) return { subject, type, state: 'present', id: found, reasons: [] }
  return { subject, type, state: 'registered', id: await registry.register(subject, schema), reasons: [] }
}

async function lookUp(registry: SchemaRegistry, { subject, type, version }: Entry): Promise<Registration> {
  const schema = registrySchemaOf(version)
  const found = await registry.find?.(subject, schema)
  if (found !== undefined) return { subject, type, state: 'present', id: found, reasons: [] }
  const verdict = registry instanceof RegistryClient ? await registry.checkCompatibility(subject, schema) : undefined
  if (verdict?.compatible !== false) return { subject, type, state: 'new', id: null, reasons: [] }
  return { subject, type, state: 'refused', id: null, reasons: verdict.messages }
}

/** @returns the exit code */
async function print(registrations: AsyncIterable<Registration>, json: boolean): Promise<number> {
  const all: Registration[] = []
  try {
    for await (const registration of registrations) {
      all.push(registration)
      if (!json) printLine(registration)
    }
  } finally {
    if (json) console.log(JSON.stringify(all))
  }
  if (all.length === 0) console.error('There are no messages to register.')
  const refused = all.filter(({ state }) => state === 'refused')
  if (refused.length > 0) console.error(`The registry refuses ${refused.map(({ type }) => type).join(', ')}.`)
  return refused.length > 0 ? exitCodes.findings : exitCodes.ok
}

function printLine({ state, type, subject, id, reasons }: Registration): void {
  console.log(`${state.padEnd(10)}  ${type}  in ${subject}${id === null ? '' : `  id ${id}`}`)
  for (const reason of reasons) console.log(`  ${reason}`)
}

import { ConfigurationError } from '../../foundation/errors.ts'
import { answers } from '../stack/ports.ts'
import { processStart } from '../stack/process-identity.ts'
import { type Stack, startStack } from '../stack/stack.ts'
import type { DevState, StackRecord } from './dev-state.ts'

/** What was asked for on the command line. */
export interface WantedStack {
  /** Kafka nodes. */
  readonly nodes: number
  /** Whether a schema registry is wanted too. */
  readonly registry: boolean
}

export interface DevStackOptions extends WantedStack {
  readonly env: NodeJS.ProcessEnv
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

const usualPorts = { kafka: 9092, postgres: 5432, registry: 8081 } as const

/** Addresses in the environment, which come before every server of ours. */
export interface GivenAddresses {
  readonly brokers: readonly string[] | undefined
  readonly databaseUrl: string | undefined
  readonly registryUrl: string | undefined
}

/** An empty variable counts as none. */
export function givenIn(env: NodeJS.ProcessEnv): GivenAddresses {
  const brokers = env['KAFKA_BROKERS']
    ?.split(',')
    .map((broker) => broker.trim())
    .filter(Boolean)
  return {
    brokers: brokers?.length ? brokers : undefined,
    databaseUrl: env['DATABASE_URL'] || undefined,
    registryUrl: env['REGISTRY_URL'] || undefined,
  }
}

/** Whether nothing is left to start. */
export function isComplete(given: GivenAddresses, { registry }: WantedStack): boolean {
  return given.brokers !== undefined && given.databaseUrl !== undefined && (!registry || given.registryUrl !== undefined)
}

const defaultPorts: Readonly<Record<string, string>> = { 'http:': '80', 'https:': '443' }

/**
 * Whether the stack has what is wanted of it.
 *
 * @throws ConfigurationError `STACK_WITHOUT_REGISTRY`: it runs without a registry, and one is wanted
 */
export function checkRegistry({ pid, environment }: StackRecord, registry: boolean): void {
  if (!registry || environment['REGISTRY_URL'] !== undefined || process.env['REGISTRY_URL']) return
  throw new ConfigurationError(
    'STACK_WITHOUT_REGISTRY',
    `The stack of this project (pid ${pid}) runs without a schema registry. Run "trunkline dev down", then start it with --registry.`,
  )
}

/** Starts the project's own stack, whose data is kept, and writes it down. The file must be claimed. */
export async function startDevStack(state: DevState, { nodes, registry, env, say, signal }: DevStackOptions): Promise<Stack> {
  const stack = await startStack({
    given: givenIn(env),
    directory: state.directory,
    ports: usualPorts,
    nodes,
    registry,
    real: env['TRUNKLINE_STACK'] === 'real',
    memory: env['KAFKA_DRIVER'] === 'memory',
    env,
    say,
    signal,
  })
  await state.publish({
    environment: stack.environment(),
    servers: await Promise.all(stack.servers.map(async ({ name, line, pids }) => ({ name, line, processes: await identified(pids) }))),
  })
  return stack
}

async function identified(pids: readonly number[]): Promise<{ pid: number; start: string }[]> {
  const processes = await Promise.all(pids.map(async (pid) => ({ pid, start: await processStart(pid) })))
  return processes.flatMap(({ pid, start }) => (start === undefined ? [] : [{ pid, start }]))
}

/** Whether every server of the record takes connections. */
export async function isAnswering({ environment }: StackRecord): Promise<boolean> {
  const brokers = environment['KAFKA_BROKERS']?.split(',') ?? []
  const others = [environment['DATABASE_URL'], environment['REGISTRY_URL']].filter((address) => address !== undefined)
  const addresses = [...brokers.map((broker) => `tcp://${broker}`), ...others]
  const answered = await Promise.all(
    addresses.map((address) => {
      const { hostname, port, protocol } = new URL(address)
      return answers(hostname, Number(port || defaultPorts[protocol] || '5432'), 1_000)
    }),
  )
  return answered.every(Boolean)
}

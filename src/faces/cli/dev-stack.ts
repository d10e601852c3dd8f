import { answers } from '../stack/ports.ts'
import { processStart } from '../stack/process-identity.ts'
import { type Stack, startStack } from '../stack/stack.ts'
import type { DevState, StackRecord } from './dev-state.ts'

export interface DevStackOptions {
  readonly nodes: number
  readonly env: NodeJS.ProcessEnv
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

const usualPorts = { kafka: 9092, postgres: 5432 } as const

/** Addresses in the environment, which come before every server of ours. */
export function givenIn(env: NodeJS.ProcessEnv): { brokers: readonly string[] | undefined; databaseUrl: string | undefined } {
  const brokers = env['KAFKA_BROKERS']
    ?.split(',')
    .map((broker) => broker.trim())
    .filter(Boolean)
  return { brokers: brokers?.length ? brokers : undefined, databaseUrl: env['DATABASE_URL'] || undefined }
}

/** Starts the project's own stack, whose data is kept, and writes it down. The file must be claimed. */
export async function startDevStack(state: DevState, { nodes, env, say, signal }: DevStackOptions): Promise<Stack> {
  const stack = await startStack({
    given: givenIn(env),
    directory: state.directory,
    ports: usualPorts,
    nodes,
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
  const database = environment['DATABASE_URL']
  const addresses = [...brokers.map((broker) => `tcp://${broker}`), ...(database === undefined ? [] : [database])]
  const answered = await Promise.all(
    addresses.map((address) => {
      const { hostname, port } = new URL(address)
      return answers(hostname, Number(port || '5432'), 1_000)
    }),
  )
  return answered.every(Boolean)
}

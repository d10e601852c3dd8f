import { createHash, randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { messageOf } from '../../foundation/errors.ts'
import { isMissing, type Missing, missing } from './missing.ts'
import { portFrom } from './ports.ts'
import { runTool } from './tool.ts'
import type { Watchdog } from './watchdog.ts'

const probeMsMax = 2_000
/** Long enough for the first pull of both images on a slow line. */
const upMsMax = 600_000
const downMsMax = 60_000

export type ComposeService = 'kafka' | 'postgres'

export interface DockerParts {
  readonly watchdog: Watchdog
  readonly env: NodeJS.ProcessEnv
}

export interface ComposeOptions {
  readonly services: readonly ComposeService[]
  /** Names the containers and volumes of one project; without it they are removed at the end, volumes too. */
  readonly keepFor?: string | undefined
  readonly ports: { readonly kafka: number; readonly postgres: number }
  readonly signal?: AbortSignal | undefined
}

export interface ComposeStack {
  readonly kafka: string
  readonly postgres: string
  stop(): Promise<void>
}

/** @returns what is missing, when there is no Docker with Compose whose daemon answers within two seconds */
export async function dockerAnswers({ watchdog, env }: DockerParts, signal?: AbortSignal): Promise<true | Missing> {
  const options = { cwd: '/', env, withinMs: probeMsMax }
  const parts = { watchdog, signal }
  const [daemon, compose] = await Promise.all([
    runTool(parts, 'docker', ['version', '--format', '{{.Server.Version}}'], options),
    runTool(parts, 'docker', ['compose', 'version'], options),
  ])
  if (daemon === 'absent') return missing('no Docker', 'install Docker')
  if (daemon.code !== 0) return missing('no Docker daemon answers', 'start Docker')
  if (compose === 'absent' || compose.code !== 0) return missing('Docker has no Compose', 'install the Compose plugin')
  return true
}

/**
 * Starts services of the compose file that comes with this package and waits until they are healthy.
 *
 * @returns what is missing, when Compose could not do it
 */
export async function startCompose({ watchdog, env }: DockerParts, options: ComposeOptions): Promise<ComposeStack | Missing> {
  const file = fileURLToPath(new URL('../../../docker-compose.yml', import.meta.url))
  const project = `trunkline-${options.keepFor === undefined ? randomBytes(4).toString('hex') : shortHash(options.keepFor)}`
  const compose = ['compose', '--file', file, '--project-name', project]
  const down = [...compose, 'down', ...(options.keepFor === undefined ? ['--volumes'] : [])]
  const ports = { kafka: await portFrom(options.ports.kafka), postgres: await portFrom(options.ports.postgres) }
  const composeEnv = { ...env, TRUNKLINE_KAFKA_PORT: String(ports.kafka), TRUNKLINE_POSTGRES_PORT: String(ports.postgres) }

  const release = watchdog.charge({ kind: 'command', command: 'docker', args: down })
  let stopping: Promise<void> | undefined
  // Kafka and PostgreSQL are stopped each for itself and are one project here.
  const stop = (): Promise<void> => {
    stopping ??= runTool({ watchdog, signal: undefined }, 'docker', down, { cwd: '/', env: composeEnv, withinMs: downMsMax }).then(release)
    return stopping
  }
  const up = await runTool({ watchdog, signal: options.signal }, 'docker', [...compose, 'up', '--detach', '--wait', ...options.services], {
    cwd: '/',
    env: composeEnv,
    withinMs: upMsMax,
  }).catch(async (error: unknown) => {
    await stop()
    if (options.signal?.aborted === true) throw error
    return missing(messageOf(error), 'look at Docker')
  })
  if (up !== 'absent' && isMissing(up)) return up
  if (up === 'absent' || up.code !== 0) {
    await stop()
    const why = up === 'absent' ? 'it is gone' : up.output.trim().split('\n').at(-1)
    return missing(`Docker answers, but Compose could not start the services (${why})`, 'look at "docker compose up"')
  }
  return { kafka: `127.0.0.1:${ports.kafka}`, postgres: `127.0.0.1:${ports.postgres}`, stop }
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8)
}

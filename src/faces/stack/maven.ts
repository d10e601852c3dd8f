import { access, constants, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { messageOf } from '../../foundation/errors.ts'
import { cacheDirectory } from './cache-directory.ts'
import type { Java } from './java.ts'
import { type Missing, missing } from './missing.ts'
import { isOnPath, runTool } from './tool.ts'
import type { Watchdog } from './watchdog.ts'

const fetchMsMax = 300_000

export interface InstallationParts {
  readonly watchdog: Watchdog
  readonly env: NodeJS.ProcessEnv
  readonly say: (line: string) => void
}

export interface Fetched {
  /** What it is called, with its version: `Kafka 4.3.1`. */
  readonly title: string
  readonly megabytes: number
  readonly java: Java
  /** Where it is to stand, in the cache directory. */
  readonly directory: string
  /** A file in it by which a complete one is known. */
  readonly landmark: string
  /** Writes what Maven needs into the draft. @returns Maven's arguments */
  prepare(draft: string): Promise<readonly string[]>
  /** What is left to do before the draft is complete. */
  complete?(draft: string): Promise<void>
}

/**
 * Fetches a server with Maven, unless it is there.
 *
 * Two processes may do it at once: each fetches into a directory of its own, and the first rename counts.
 *
 * @returns what is missing, when it cannot be fetched
 */
export async function fetchOnce(parts: InstallationParts, wanted: Fetched, signal?: AbortSignal): Promise<Missing | undefined> {
  const { watchdog, env, say } = parts
  if (await isReadable(join(wanted.directory, wanted.landmark))) return undefined
  const noMaven = missing(`no Maven to fetch ${wanted.title} with`, 'install Maven (Debian: apt install maven)')
  if (!(await isOnPath('mvn', env))) return noMaven
  const cache = cacheDirectory(env)
  try {
    await mkdir(cache, { recursive: true })
  } catch (error) {
    return missing(`the cache directory ${cache} cannot be written (${messageOf(error)})`, 'set XDG_CACHE_HOME to a folder that can')
  }
  const draft = await mkdtemp(join(cache, 'fetch-'))
  const release = watchdog.charge({ kind: 'path', path: draft })
  try {
    say(`Fetching ${wanted.title} with Maven, once, into ${cache} (${wanted.megabytes} MB) …`)
    const maven = await runTool({ watchdog, signal }, 'mvn', await wanted.prepare(draft), {
      cwd: draft,
      env: { ...env, JAVA_HOME: wanted.java.home },
      withinMs: fetchMsMax,
    })
    if (maven === 'absent') return noMaven
    if (maven.code !== 0) {
      const why = lastLine(maven.output)
      return missing(`Maven could not fetch ${wanted.title} (${why})`, 'look at its settings and the network, then try again')
    }
    await wanted.complete?.(draft)
    await adopt(draft, wanted)
    return undefined
  } finally {
    await rm(draft, { recursive: true, force: true })
    release()
  }
}

/** Makes the draft the installation, unless another process was first. */
async function adopt(draft: string, { directory, landmark }: Fetched): Promise<void> {
  try {
    await rename(draft, directory)
  } catch (error) {
    if (!(await isReadable(join(directory, landmark)))) throw error
  }
}

/** The most telling line of a tool's output: Maven's first error, or whatever came last. */
export function lastLine(output: string): string {
  const lines = stripVTControlCharacters(output).trim().split('\n')
  return (lines.find((line) => line.startsWith('[ERROR]')) ?? lines.at(-1) ?? '').slice(0, 300)
}

export async function isReadable(path: string): Promise<boolean> {
  return await access(path, constants.R_OK).then(
    () => true,
    () => false,
  )
}

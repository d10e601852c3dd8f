import { execFile } from 'node:child_process'
import { access, constants, readdir, readFile, realpath } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { type Missing, missing } from './missing.ts'

const run = promisify(execFile)

/** Brokers of Kafka 4 need it. */
const kafkaJavaMin = 17

/** Where installers put JVMs; each folder in them is one. macOS keeps the home a level deeper. */
const jvmFolders = ['/usr/lib/jvm', '/usr/java', '/opt/java', '/Library/Java/JavaVirtualMachines'] as const

export interface Java {
  readonly executable: string
  readonly home: string
  /** The first number: 17. */
  readonly version: number
  /** Tells one build from another: class-data archives fit only the one that wrote them. */
  readonly build: string
}

/**
 * Looks for a Java that is new enough, for a broker where nothing else is said: JAVA_HOME, then PATH, then the newest
 * in the folders of JVMs.
 *
 * @returns what is missing when none is new enough
 */
export async function findJava(env: NodeJS.ProcessEnv, javaVersionMin: number = kafkaJavaMin): Promise<Java | Missing> {
  const named = [
    ...(env['JAVA_HOME'] ? [join(env['JAVA_HOME'], 'bin', 'java')] : []),
    ...(env['PATH'] ?? '')
      .split(delimiter)
      .filter(Boolean)
      .map((folder) => join(folder, 'java')),
  ]
  let tooOld: Java | undefined
  for (const executable of named) {
    const java = await inspect(executable)
    if (java !== undefined && java.version >= javaVersionMin) return java
    tooOld ??= java
  }
  const installed = (await Promise.all((await installedJavas()).map(inspect))).filter((java) => java !== undefined)
  const newest = installed.toSorted((a, b) => b.version - a.version)[0]
  if (newest !== undefined && newest.version >= javaVersionMin) return newest
  tooOld ??= newest
  return missing(
    tooOld === undefined ? `no Java ${javaVersionMin} or newer` : `Java ${tooOld.version} is too old (${javaVersionMin} is needed)`,
    `install a Java ${javaVersionMin}+ runtime (Debian: apt install openjdk-${javaVersionMin}-jre-headless) or set JAVA_HOME`,
  )
}

async function installedJavas(): Promise<string[]> {
  const homes = await Promise.all(
    jvmFolders.map(async (folder) => (await readdir(folder).catch(() => [])).map((name) => join(folder, name))),
  )
  return homes.flat().flatMap((home) => [join(home, 'bin', 'java'), join(home, 'Contents', 'Home', 'bin', 'java')])
}

async function inspect(executable: string): Promise<Java | undefined> {
  try {
    await access(executable, constants.X_OK)
    const real = await realpath(executable)
    const home = dirname(dirname(real))
    // Reading the file that comes with a JVM saves starting it once more; old and odd builds have none.
    const release = await readFile(join(home, 'release'), 'utf8').catch(() => undefined)
    const version = release === undefined ? undefined : /^JAVA_VERSION="([^"]+)"/m.exec(release)?.[1]
    if (release !== undefined && version !== undefined) {
      return { executable: real, home, version: major(version), build: `${home}\n${release}` }
    }
    const { stderr } = await run(real, ['-version'], { timeout: 10_000 })
    const printed = /version "([^"]+)"/.exec(stderr)?.[1]
    return printed === undefined ? undefined : { executable: real, home, version: major(printed), build: `${home}\n${stderr}` }
  } catch {
    return undefined
  }
}

/** 17 of `17.0.15`, and 8 of `1.8.0_402`. */
function major(version: string): number {
  return Number(/^(?:1\.)?(\d+)/.exec(version)?.[1] ?? 0)
}

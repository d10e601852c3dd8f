import { createHash } from 'node:crypto'
import { access, constants, cp, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { messageOf, TransientError } from '../../foundation/errors.ts'
import { cacheDirectory } from './cache-directory.ts'
import { findJava, type Java } from './java.ts'
import { isMissing, type Missing, missing } from './missing.ts'
import { isOnPath, runTool, type ToolParts } from './tool.ts'
import type { Watchdog } from './watchdog.ts'

export const kafkaVersion = '4.3.1'
const log4jVersion = '2.24.3'

const fetchMsMax = 300_000
const toolMsMax = 60_000

export interface KafkaInstallation {
  readonly java: Java
  readonly directory: string
  /** The jars in a fixed order: a class-data archive fits one order only. */
  readonly classpath: string
  /** Classes made ready for this Java; it need not exist yet. Saves more than a second a start. */
  readonly archivePath: string
  readonly hasArchive: boolean
  /** The first records of a formatted metadata log, the same for every cluster of this version. */
  readonly bootstrapPath: string
  readonly loggingPath: string
}

export interface InstallationParts {
  readonly watchdog: Watchdog
  readonly env: NodeJS.ProcessEnv
  readonly say: (line: string) => void
}

/**
 * Finds Java and Kafka's jars; fetches the jars with Maven when this user has none yet.
 *
 * Two processes may do it at once: each fetches into a directory of its own, and the first rename counts.
 *
 * @returns what is missing, when this machine cannot run Kafka
 */
export async function kafkaInstallation(parts: InstallationParts, signal?: AbortSignal): Promise<KafkaInstallation | Missing> {
  const java = await findJava(parts.env)
  if (isMissing(java)) return java
  const directory = join(cacheDirectory(parts.env), `kafka-${kafkaVersion}`)
  if (!(await exists(join(directory, 'libs')))) {
    const problem = await fetchInstallation(parts, java, directory, signal)
    if (problem !== undefined) return problem
  }
  const jars = (await readdir(join(directory, 'libs'))).filter((name) => name.endsWith('.jar')).toSorted()
  const key = createHash('sha256').update(java.build).digest('hex').slice(0, 12)
  const archivePath = join(directory, `classes-java${java.version}-${key}.jsa`)
  return {
    java,
    directory,
    classpath: jars.map((name) => join(directory, 'libs', name)).join(delimiter),
    archivePath,
    hasArchive: await exists(archivePath),
    bootstrapPath: join(directory, 'bootstrap.checkpoint'),
    loggingPath: join(directory, 'log4j2.properties'),
  }
}

async function fetchInstallation(
  { watchdog, env, say }: InstallationParts,
  java: Java,
  directory: string,
  signal: AbortSignal | undefined,
): Promise<Missing | undefined> {
  const noMaven = missing('no Maven to fetch Kafka with', 'install Maven (Debian: apt install maven)')
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
    say(`Fetching Kafka ${kafkaVersion} with Maven, once, into ${cache} (54 MB) …`)
    await writeFile(join(draft, 'pom.xml'), pom)
    await writeFile(join(draft, 'log4j2.properties'), logging)
    const fetch = ['-B', '-q', 'dependency:copy-dependencies', `-DoutputDirectory=${join(draft, 'libs')}`, '-DincludeScope=runtime']
    const maven = await runTool({ watchdog, signal }, 'mvn', fetch, {
      cwd: draft,
      env: { ...env, JAVA_HOME: java.home },
      withinMs: fetchMsMax,
    })
    if (maven === 'absent') return noMaven
    if (maven.code !== 0)
      return missing(`Maven could not fetch Kafka (${lastLine(maven.output)})`, 'look at its settings and the network, then try again')
    await formatOnce({ watchdog, signal }, java, draft)
    await adopt(draft, directory)
    return undefined
  } finally {
    await rm(draft, { recursive: true, force: true })
    release()
  }
}

/** Formatting takes a JVM most of a second; its result depends on nothing but Kafka's version, so it is made once and copied. */
async function formatOnce(parts: ToolParts, java: Java, draft: string): Promise<void> {
  const properties = join(draft, 'format.properties')
  const logs = join(draft, 'format')
  await writeFile(
    properties,
    [
      'process.roles=broker,controller',
      'node.id=1',
      'controller.quorum.voters=1@127.0.0.1:9093',
      'listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093',
      'controller.listener.names=CONTROLLER',
      `log.dirs=${logs}`,
    ].join('\n'),
  )
  const format = ['-cp', join(draft, 'libs', '*'), 'kafka.tools.StorageTool', 'format', '-t', 'AAAAAAAAAAAAAAAAAAAAAQ', '-c', properties]
  const result = await runTool(parts, java.executable, format, { cwd: draft, env: process.env, withinMs: toolMsMax })
  if (result === 'absent' || result.code !== 0) {
    const why = result === 'absent' ? 'Java is gone' : lastLine(result.output)
    throw new TransientError(
      'KAFKA_NOT_FORMATTED',
      `Kafka's storage tool failed: ${why}. Try again; if it stays, remove the fetched Kafka from the cache directory.`,
    )
  }
  await cp(join(logs, 'bootstrap.checkpoint'), join(draft, 'bootstrap.checkpoint'))
  await rm(logs, { recursive: true })
  await rm(properties)
}

/** Makes the draft the installation, unless another process was first. */
async function adopt(draft: string, directory: string): Promise<void> {
  try {
    await rename(draft, directory)
  } catch (error) {
    if (!(await exists(join(directory, 'libs')))) throw error
  }
}

/** The most telling line: Maven's first error, or whatever came last. */
function lastLine(output: string): string {
  const lines = stripVTControlCharacters(output).trim().split('\n')
  return (lines.find((line) => line.startsWith('[ERROR]')) ?? lines.at(-1) ?? '').slice(0, 300)
}

async function exists(path: string): Promise<boolean> {
  return await access(path, constants.R_OK).then(
    () => true,
    () => false,
  )
}

const logging = `status=warn
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ISO8601} %p %m (%c{1})%n
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
`

// Kafka's own pom leaves log4j out: its distribution adds it, and without it the broker does not start.
const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>trunkline</groupId>
  <artifactId>local-kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${kafkaVersion}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>${kafkaVersion}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-api</artifactId><version>${log4jVersion}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId><version>${log4jVersion}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>${log4jVersion}</version></dependency>
  </dependencies>
</project>
`

import { createHash } from 'node:crypto'
import { cp, readdir, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { TransientError } from '../../foundation/errors.ts'
import { cacheDirectory } from './cache-directory.ts'
import { findJava, type Java } from './java.ts'
import { type Fetched, fetchOnce, type InstallationParts, isReadable, lastLine } from './maven.ts'
import { isMissing, type Missing } from './missing.ts'
import { runTool, type ToolParts } from './tool.ts'

export const kafkaVersion = '4.3.1'
const log4jVersion = '2.24.3'

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

/**
 * Finds Java and Kafka's jars; fetches the jars with Maven when this user has none yet.
 *
 * @returns what is missing, when this machine cannot run Kafka
 */
export async function kafkaInstallation(parts: InstallationParts, signal?: AbortSignal): Promise<KafkaInstallation | Missing> {
  const java = await findJava(parts.env)
  if (isMissing(java)) return java
  const directory = join(cacheDirectory(parts.env), `kafka-${kafkaVersion}`)
  const problem = await fetchInstallation(parts, java, directory, signal)
  if (problem !== undefined) return problem
  const jars = (await readdir(join(directory, 'libs'))).filter((name) => name.endsWith('.jar')).toSorted()
  const key = createHash('sha256').update(java.build).digest('hex').slice(0, 12)
  const archivePath = join(directory, `classes-java${java.version}-${key}.jsa`)
  return {
    java,
    directory,
    classpath: jars.map((name) => join(directory, 'libs', name)).join(delimiter),
    archivePath,
    hasArchive: await isReadable(archivePath),
    bootstrapPath: join(directory, 'bootstrap.checkpoint'),
    loggingPath: join(directory, 'log4j2.properties'),
  }
}

async function fetchInstallation(
  parts: InstallationParts,
  java: Java,
  directory: string,
  signal: AbortSignal | undefined,
): Promise<Missing | undefined> {
  const wanted: Fetched = {
    title: `Kafka ${kafkaVersion}`,
    megabytes: 54,
    java,
    directory,
    landmark: 'libs',
    prepare: async (draft) => {
      await writeFile(join(draft, 'pom.xml'), pom)
      await writeFile(join(draft, 'log4j2.properties'), logging)
      return ['-B', '-q', 'dependency:copy-dependencies', `-DoutputDirectory=${join(draft, 'libs')}`, '-DincludeScope=runtime']
    },
    complete: async (draft) => await formatOnce({ watchdog: parts.watchdog, signal }, java, draft),
  }
  return await fetchOnce(parts, wanted, signal)
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

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheDirectory } from './cache-directory.ts'
import { findJava, type Java } from './java.ts'
import { type Fetched, fetchOnce, type InstallationParts } from './maven.ts'
import { isMissing, type Missing } from './missing.ts'

export const apicurioVersion = '3.3.3'
/** On 17 it fails with UnsupportedClassVersionError. */
const javaMin = 21

export interface RegistryInstallation {
  readonly java: Java
  readonly jarPath: string
}

/**
 * Finds Java and Apicurio, a schema registry with Confluent's API; fetches it with Maven when this user has none yet.
 *
 * @returns what is missing, when this machine cannot run it
 */
export async function registryInstallation(parts: InstallationParts, signal?: AbortSignal): Promise<RegistryInstallation | Missing> {
  const java = await findJava(parts.env, javaMin)
  if (isMissing(java)) return java
  const directory = join(cacheDirectory(parts.env), `apicurio-${apicurioVersion}`)
  const landmark = 'quarkus-run.jar'
  const artifact = `io.apicurio:apicurio-registry-app:${apicurioVersion}:tar.gz:all`
  const wanted: Fetched = {
    title: `Apicurio Registry ${apicurioVersion}`,
    megabytes: 158,
    java,
    directory,
    landmark,
    prepare: async (draft) => ['-B', '-q', 'dependency:unpack', `-Dartifact=${artifact}`, `-DoutputDirectory=${draft}`],
    // Where there is no project, Maven keeps its notes in a folder of this very name.
    complete: async (draft) => await rm(join(draft, `\${project.basedir}`), { recursive: true, force: true }),
  }
  return (await fetchOnce(parts, wanted, signal)) ?? { java, jarPath: join(directory, landmark) }
}

import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { findJava } from '../../../src/faces/stack/java.ts'
import { isMissing } from '../../../src/faces/stack/missing.ts'

const folders: string[] = []

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true })
})

/** A folder that looks like a JVM's home. */
async function javaHome(version: string): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'trunkline-java-'))
  folders.push(home)
  await mkdir(join(home, 'bin'))
  await writeFile(join(home, 'bin', 'java'), '#!/bin/sh\n')
  await chmod(join(home, 'bin', 'java'), 0o755)
  await writeFile(join(home, 'release'), `JAVA_VERSION="${version}"\n`)
  return home
}

test('prefers JAVA_HOME to PATH', async () => {
  const [home, other] = [await javaHome('21.0.2'), await javaHome('25')]

  const java = await findJava({ JAVA_HOME: home, PATH: join(other, 'bin') })

  expect(java).toMatchObject({ version: 21, home })
})

test('passes over a JAVA_HOME that is too old for Kafka', async () => {
  const [old, usable] = [await javaHome('1.8.0_402'), await javaHome('17.0.15')]

  const java = await findJava({ JAVA_HOME: old, PATH: join(usable, 'bin') })

  expect(java).toMatchObject({ version: 17, home: usable })
})

test('takes another build of the same version for another Java, because class-data archives do', async () => {
  const [one, two] = [await javaHome('17.0.15'), await javaHome('17.0.15')]

  const found = [await findJava({ JAVA_HOME: one }), await findJava({ JAVA_HOME: two })]

  expect(found.some(isMissing)).toBe(false)
  expect(new Set(found.map((java) => (isMissing(java) ? '' : java.build))).size).toBe(2)
})

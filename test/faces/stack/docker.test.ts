import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startStack } from '../../../src/faces/stack/stack.ts'

let folder = ''

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'trunkline-docker-'))
})

afterEach(async () => {
  await rm(folder, { recursive: true })
})

/** A `docker` that notes how it was called, and fails where the case says so. */
async function dockerThat(fails: string): Promise<NodeJS.ProcessEnv> {
  const script = `#!/bin/sh
echo "$TRUNKLINE_KAFKA_PORT $TRUNKLINE_POSTGRES_PORT $*" >> ${join(folder, 'calls')}
case "$*" in ${fails}) echo "it does not want to"; exit 1;; esac
`
  await writeFile(join(folder, 'docker'), script)
  await chmod(join(folder, 'docker'), 0o755)
  return { PATH: folder, XDG_CACHE_HOME: folder }
}

async function calls(): Promise<string[]> {
  return (await readFile(join(folder, 'calls'), 'utf8')).trim().split('\n')
}

test('runs both servers from the compose file when the daemon answers, and removes them with their volumes', async () => {
  const stack = await startStack({ env: await dockerThat('none'), say: () => undefined })
  const { brokers, databaseUrl } = stack

  await stack.stop()

  const [up = '', down = ''] = (await calls()).filter((call) => call.includes('--project-name'))
  const [kafkaPort = '', postgresPort = ''] = up.split(' ')
  expect(brokers).toEqual([`127.0.0.1:${kafkaPort}`])
  expect(new URL(databaseUrl).host).toBe(`127.0.0.1:${postgresPort}`)
  expect(up).toMatch(/ compose --file \S+docker-compose\.yml --project-name trunkline-\w+ up --detach --wait kafka postgres$/)
  expect(down).toMatch(/ down --volumes$/)
})

test('starts by Docker only what is not given', async () => {
  const stack = await startStack({ env: await dockerThat('none'), given: { brokers: ['kafka.example:9092'] }, say: () => undefined })

  await stack.stop()

  expect((await calls()).find((call) => call.includes(' up '))).toMatch(/ --wait postgres$/)
})

test('goes on without Docker, and says why, when Compose cannot start the services', async () => {
  const lines: string[] = []
  const env = await dockerThat('*" up "*')

  const stack = await startStack({ env, memory: true, say: (line) => lines.push(line) })
  await stack.stop()

  expect(lines.at(-1)).toMatch(/^PostgreSQL .*Compose could not start the services \(it does not want to\)/)
  expect((await calls()).at(-1)).toMatch(/ down --volumes$/)
})

test('takes a daemon that does not answer for none', async () => {
  const lines: string[] = []

  const stack = await startStack({ env: await dockerThat('version*'), memory: true, say: (line) => lines.push(line) })
  await stack.stop()

  expect(lines.at(-1)).toContain('no Docker daemon answers')
})

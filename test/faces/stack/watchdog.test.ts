import { spawn } from 'node:child_process'
import { access, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { isRunning, processStart } from '../../../src/faces/stack/process-identity.ts'
import { Watchdog } from '../../../src/faces/stack/watchdog.ts'

const watchdogModule = new URL('../../../src/faces/stack/watchdog.ts', import.meta.url).href

/** A program that starts a server which ignores SIGTERM, has it and a folder watched, and says the server's pid. */
const careless = `
  import { spawn } from 'node:child_process'
  import { Watchdog } from '${watchdogModule}'
  const server = spawn(process.execPath, ['-e', 'process.on("SIGTERM", () => {}); console.log("deaf"); setInterval(() => {}, 1000)'], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] })
  server.stdout.once('data', async () => {
    const watchdog = new Watchdog()
    watchdog.charge({ kind: 'path', path: process.env.FOLDER })
    await watchdog.chargeProcess(server.pid, 'SIGTERM', 300)
    console.log(server.pid)
  })
`

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(20)
}

test('ends a server and deletes a folder when their owner is killed by SIGKILL', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'trunkline-watchdog-'))
  const owner = spawn(process.execPath, ['--input-type=module', '-e', careless], {
    env: { ...process.env, FOLDER: folder },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const pid = Number(await new Promise<string>((resolve) => owner.stdout.once('data', (data: Buffer) => resolve(data.toString()))))
  const start = await processStart(pid)
  expect(start).toBeDefined()

  owner.kill('SIGKILL')

  await until(async () => !(await isRunning(pid, start ?? '')))
  await until(async () =>
    access(folder).then(
      () => false,
      () => true,
    ),
  )
})

test('leaves alone what was released', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'trunkline-watchdog-'))
  const watchdog = new Watchdog()
  const release = watchdog.charge({ kind: 'path', path: folder })

  release()
  await watchdog.close()

  await expect(access(folder)).resolves.toBeUndefined()
  await rm(folder, { recursive: true })
})

test('takes a process that got the pid of an ended one for another', async () => {
  const start = await processStart(process.pid)

  expect(await isRunning(process.pid, start ?? '')).toBe(true)
  expect(await isRunning(process.pid, 'another start')).toBe(false)
})

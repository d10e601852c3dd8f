import { createServer, type Server } from 'node:net'
import { expect, test } from 'vitest'
import { answers, freePorts, isFree, portFrom } from '../../../src/faces/stack/ports.ts'

async function listen(port: number): Promise<Server> {
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  return server
}

test('gives different ports that are free', async () => {
  const ports = await freePorts(8)

  expect(new Set(ports).size).toBe(8)
  expect(await Promise.all(ports.map(isFree))).not.toContain(false)
})

test('takes the next port when the wanted one is held', async () => {
  const [wanted = 0] = await freePorts(1)
  const holder = await listen(wanted)

  const port = await portFrom(wanted)
  holder.close()

  expect(port).toBeGreaterThan(wanted)
})

test('takes the wanted port when it is free, unless it is spoken for', async () => {
  const [wanted = 0] = await freePorts(1)

  expect(await portFrom(wanted)).toBe(wanted)
  expect(await portFrom(wanted, [wanted])).toBeGreaterThan(wanted)
})

test('tells a port that takes connections from one that does not', async () => {
  const [port = 0] = await freePorts(1)
  const server = await listen(port)

  expect(await answers('127.0.0.1', port, 1_000)).toBe(true)
  await new Promise((resolve) => server.close(resolve))
  expect(await answers('127.0.0.1', port, 1_000)).toBe(false)
})

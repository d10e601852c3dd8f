import { request } from 'node:http'
import { connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { HealthServer } from '../../../src/adapters/http/health-server.ts'
import type { Health } from '../../../src/core/health.ts'

const healthy: Health = { live: true, ready: true, parts: { database: { ready: true, state: 'reachable' } } }

async function serve(health: () => Promise<Health>): Promise<HealthServer> {
  const server = new HealthServer(health, { port: 0, host: '127.0.0.1' })
  await server.start()
  onTestFinished(() => server.stop())
  return server
}

async function get(server: HealthServer, path: string, method = 'GET'): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method })
  return { status: response.status, body: await response.json() }
}

test('probes are told whether to restart the process and whether to send it work', async () => {
  const server = await serve(async () => ({ ...healthy, ready: false, parts: { relay: { ready: false, state: 'without database' } } }))

  expect(await get(server, '/live')).toEqual({ status: 200, body: { live: true } })
  expect(await get(server, '/ready')).toEqual({ status: 503, body: { ready: false } })
  expect(await get(server, '/health?verbose')).toEqual({
    status: 503,
    body: { live: true, ready: false, parts: { relay: { ready: false, state: 'without database' } } },
  })
})

test('nothing but the three paths is there, and nothing but reading', async () => {
  const server = await serve(async () => healthy)

  expect(await get(server, '/metrics')).toMatchObject({ status: 404 })
  expect(await get(server, '/health', 'POST')).toMatchObject({ status: 405 })
})

test('many probes at once ask the service once', async () => {
  let asked = 0
  const server = await serve(async () => {
    asked++
    return healthy
  })

  await Promise.all(Array.from({ length: 30 }, () => get(server, '/ready')))

  expect(asked).toBe(1)
})

test('a service that cannot say how it is doing is not ready, and the server goes on', async () => {
  const server = await serve(async () => Promise.reject(new Error('secret text')))

  expect(await get(server, '/ready')).toEqual({ status: 503, body: { error: 'The service could not say how it is doing.' } })
  expect(await get(server, '/nowhere')).toMatchObject({ status: 404 })
})

test('bytes that are no request, and paths that are no path, hurt nobody', async () => {
  const server = await serve(async () => healthy)
  const socket = connect({ port: server.port ?? 0, host: '127.0.0.1' })
  const closed = new Promise((resolve) => socket.on('close', resolve))
  socket.on('error', () => undefined)
  socket.resume()

  socket.write('\u0000\u0001 not http at all\r\n\r\n')
  await closed
  const odd = await new Promise<number | undefined>((resolve) => {
    request({ port: server.port, host: '127.0.0.1', path: '//' }, (response) => resolve(response.resume().statusCode)).end()
  })

  expect(odd).toBe(404)
  expect(await get(server, '/live')).toMatchObject({ status: 200 })
})

test('a port that is taken is named, with what to do', async () => {
  const first = await serve(async () => healthy)
  const second = new HealthServer(async () => healthy, { port: first.port ?? 0, host: '127.0.0.1' })

  await expect(second.start()).rejects.toThrow(
    /health: port \d+ of 127.0.0.1 cannot be used \(another process has it\). Choose another port/,
  )
  await second.stop()
})

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TLSSocket } from 'node:tls'
import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { requestCancel } from '../../../src/adapters/postgres/cancel-request.ts'

const hasOpenssl = spawnSync('openssl', ['version']).status === 0

/** What a server hears that closes after the first packet of sixteen bytes, as PostgreSQL does. */
async function listening(secured?: { key: string; cert: string }, manner: 'closes' | 'says nothing' = 'closes') {
  const heard: Buffer[] = []
  const certified: unknown[] = []
  const hear = (socket: Socket): void => {
    socket.on('error', () => undefined)
    socket.on('data', (bytes) => {
      heard.push(bytes)
      if (bytes.length === 16 && manner === 'closes') socket.end()
    })
  }
  const server = createServer((socket) => {
    if (secured === undefined) return hear(socket)
    socket.once('data', (asked) => {
      heard.push(asked)
      socket.write('S')
      const encrypted = new TLSSocket(socket, { isServer: true, requestCert: true, ...secured })
      encrypted.once('secure', () => certified.push(encrypted.getPeerCertificate().subject?.CN))
      hear(encrypted)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return { heard, certified, port: (server.address() as AddressInfo).port }
}

/** A connection that was told its process and key; it need not be one. */
function clientAt(port: number, ssl: object | false): Client {
  return identified(new Client({ host: '127.0.0.1', port, ...(ssl === false ? {} : { ssl }) }))
}

function identified(client: Client): Client {
  Reflect.set(client, 'processID', 4711)
  Reflect.set(client, 'secretKey', -2)
  return client
}

const request = Buffer.from('0000001004d2162e00001267fffffffe', 'hex')

test('is the sixteen bytes that the protocol wants, and is over when the server closes', async () => {
  const { heard, port } = await listening()

  const fate = await requestCancel(clientAt(port, false))

  expect(Buffer.concat(heard)).toEqual(request)
  expect(fate).toBe('seen')
})

test.skipIf(!hasOpenssl)("goes encrypted where the connection is, with the connection's certificate", async () => {
  const folder = mkdtempSync(join(tmpdir(), 'trunkline-cancel-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const subject = ['-subj', '/CN=localhost', '-days', '1']
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, ...subject], { stdio: 'ignore' })
  const identity = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
  const { heard, certified, port } = await listening(identity)

  const fate = await requestCancel(clientAt(port, { rejectUnauthorized: false, ...identity }))

  expect(fate).toBe('seen')
  expect(heard).toEqual([Buffer.from('0000000804d2162f', 'hex'), request])
  expect(certified).toEqual(['localhost'])
})

test('of a server that is not there, and of a connection that has no key, ends at once: nothing was sent', async () => {
  const { port } = await listening()
  const nobody = new Client({ host: '127.0.0.1', port })

  await expect(requestCancel(nobody)).resolves.toBe('unsent')
  await expect(requestCancel(clientAt(1, false))).resolves.toBe('unsent')
})

test('that the server does not answer in time may still come: nobody knows', async () => {
  const { port } = await listening(undefined, 'says nothing')

  await expect(requestCancel(clientAt(port, false), 50)).resolves.toBe('unknown')
})

test('goes to the address that the connection has, not to another one of the same name', async () => {
  const { heard, port } = await listening()
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()))
  const client = identified(new Client({ host: 'database.invalid', port: 1, stream: () => socket }))

  const fate = await requestCancel(client)

  expect(fate).toBe('seen')
  expect(Buffer.concat(heard)).toEqual(request)
})

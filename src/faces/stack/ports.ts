import { connect, createServer } from 'node:net'
import { TransientError } from '../../foundation/errors.ts'

/** How far above a wanted port we look for a free one. */
const portsTriedMax = 50

/** @returns ports that nobody on 127.0.0.1 listens on, all different */
export async function freePorts(count: number): Promise<number[]> {
  const held = await Promise.all(Array.from({ length: count }, () => hold(0)))
  await Promise.all(held.map((port) => port.release()))
  return held.map((port) => port.number)
}

/** @returns the wanted port, or the next free one above it that is not in `taken` */
export async function portFrom(wanted: number, taken: readonly number[] = []): Promise<number> {
  for (let port = wanted; port < wanted + portsTriedMax; port++) {
    if (!taken.includes(port) && (await isFree(port))) return port
  }
  throw new TransientError(
    'NO_FREE_PORT',
    `None of the ports ${wanted} to ${wanted + portsTriedMax - 1} is free on 127.0.0.1. End what holds them, or give the server another port.`,
    { wanted },
  )
}

export async function isFree(port: number): Promise<boolean> {
  try {
    await (await hold(port)).release()
    return true
  } catch {
    return false
  }
}

/** Whether something accepts connections there. */
export async function answers(host: string, port: number, withinMs: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ host, port })
    const end = (result: boolean): void => {
      socket.destroy()
      resolve(result)
    }
    socket.setTimeout(withinMs, () => end(false))
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}

interface HeldPort {
  readonly number: number
  release(): Promise<void>
}

async function hold(port: number): Promise<HeldPort> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: '127.0.0.1', port, exclusive: true }, resolve)
  })
  const address = server.address()
  return {
    number: typeof address === 'object' && address !== null ? address.port : port,
    release: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

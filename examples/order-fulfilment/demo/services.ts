import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type BackboneOptions, createBackbone } from 'trunkline'
import { ordersService } from '../orders/service.ts'
import { createTables as createOrdersTables } from '../orders/tables.ts'
import { paymentsService } from '../payments/service.ts'
import { createTables as createPaymentsTables } from '../payments/tables.ts'
import { stockService } from '../stock/service.ts'
import { createTables as createStockTables } from '../stock/tables.ts'

export const services = ['orders', 'stock', 'payments'] as const
export type ServiceName = (typeof services)[number]

/** A service that runs for the demo, wherever that is. */
export interface RunningService {
  /** Ends it at once, without a word to anybody. */
  kill(): Promise<void>
  /** Asks it to stop. @returns how it went, for people, when it did not go well */
  stop(): Promise<string | undefined>
}

const STOP_MS = 15_000
const LOG_LINES = 40

/** Starts a service as a process of its own. It gets ready in its own time. */
export function startProcess(name: ServiceName, environment: Readonly<Record<string, string>>): RunningService {
  const program = fileURLToPath(new URL(`../${name}/main.ts`, import.meta.url))
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program], {
    env: { ...process.env, LOG_LEVEL: 'warn', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    // Ctrl-C is for the demo; it then stops its services in order.
    detached: true,
  })
  const ended = once(child, 'exit')
  const lines = lastLines(child)
  // Should the demo itself end unexpectedly, its services go with it.
  const follow = (): void => void child.kill('SIGKILL')
  process.once('exit', follow)
  void ended.then(() => process.off('exit', follow))
  return {
    kill: async () => {
      child.kill('SIGKILL')
      await ended
    },
    stop: async () => {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      await ended
      clearTimeout(timer)
      if (child.exitCode === 0) return undefined
      return `${name} ended with ${child.exitCode ?? child.signalCode}:\n${lines.join('\n')}`
    },
  }
}

const registrations = {
  orders: { register: ordersService, createTables: createOrdersTables },
  stock: { register: stockService, createTables: createStockTables },
  payments: { register: paymentsService, createTables: createPaymentsTables },
} as const

/** Starts a service inside this process: on the memory log there is no other way to meet. */
export async function startHere(name: ServiceName, options: Omit<BackboneOptions, 'service'>): Promise<RunningService> {
  const backbone = createBackbone({ ...options, service: name })
  const { register, createTables } = registrations[name]
  register(backbone)
  await backbone.transaction(createTables)
  await backbone.start()
  return {
    kill: () => Promise.reject(new Error('A service inside this process cannot be killed.')),
    stop: async () => {
      await backbone.stop()
      return undefined
    },
  }
}

/** The end of what it printed, for the case that it has to be explained. */
function lastLines(child: ChildProcess): string[] {
  const lines: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      lines.push(...text.trimEnd().split('\n'))
      lines.splice(0, lines.length - LOG_LINES)
    })
  }
  return lines
}

/**
 * A process of its own that ends what its parent left behind.
 *
 * It holds one end of a pipe. The parent says through it what must not outlive it; when the pipe closes,
 * for whatever reason (SIGKILL too), everything that was not released is ended and deleted.
 */
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { isRunning } from './process-identity.ts'
import type { Charge, ProcessCharge, WatchdogOrder } from './watchdog.ts'

const run = promisify(execFile)

function watch(): void {
  // Ctrl-C and a closing terminal are the very cases in which this process has work to do.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)

  const charges = new Map<number, Charge>()
  const orders = createInterface({ input: process.stdin })
  orders.on('line', (line) => {
    const order: WatchdogOrder = JSON.parse(line)
    if (order.charge === undefined) charges.delete(order.id)
    else charges.set(order.id, order.charge)
  })
  orders.on('close', () => void cleanUp([...charges.values()]))
}

async function cleanUp(charges: readonly Charge[]): Promise<void> {
  await Promise.allSettled(charges.filter((charge) => charge.kind === 'process').map(endProcess))
  for (const charge of charges) {
    if (charge.kind === 'command') await run(charge.command, [...charge.args], { timeout: 60_000 }).catch(() => undefined)
  }
  for (const charge of charges) {
    if (charge.kind === 'path') await rm(charge.path, { recursive: true, force: true, maxRetries: 20 }).catch(() => undefined)
  }
}

async function endProcess({ pid, start, signal, killAfterMs }: ProcessCharge): Promise<void> {
  if (!(await isRunning(pid, start))) return
  process.kill(pid, signal)
  for (const end = Date.now() + killAfterMs; Date.now() < end; await sleep(50)) {
    if (!(await isRunning(pid, start))) return
  }
  process.kill(pid, 'SIGKILL')
}

watch()

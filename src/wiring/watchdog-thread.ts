/**
 * A thread of its own that watches whether the process's event loop turns.
 *
 * It counts only its own time: a process that was stopped as a whole, or a machine that slept, stands still here too.
 */
import { writeSync } from 'node:fs'
import { url as inspectorUrl } from 'node:inspector'
import { workerData } from 'node:worker_threads'
import type { WatchdogThreadData } from './watchdog.ts'

const LOOKS = 8
const STDERR = 2

function watch({ turned, limitMs }: WatchdogThreadData): void {
  const sign = new BigInt64Array(turned)
  const everyMs = limitMs / LOOKS
  let seen = -1n
  let stillMs = 0
  let lookedAt = performance.now()
  setInterval(() => {
    const now = performance.now()
    const passedMs = now - lookedAt
    lookedAt = now
    const latest = Atomics.load(sign, 0)
    // At a breakpoint the loop stands still too.
    if (latest !== seen || inspectorUrl() !== undefined) stillMs = 0
    // If this thread was late itself, the whole process was: that much is nobody's fault.
    else stillMs += Math.min(passedMs, everyMs * 2)
    seen = latest
    if (stillMs >= limitMs) end(limitMs)
  }, everyMs)
}

function end(limitMs: number): void {
  writeSync(
    STDERR,
    `trunkline: the event loop has stood still for ${limitMs} ms, so the process is ended. A handler blocks it; raise "watchdog" if that is right.\n`,
  )
  process.kill(process.pid, 'SIGKILL')
}

watch(workerData)

import { readdirSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { TestProcess } from './processes.ts'

/** What a program said of itself at one moment. */
export interface Usage {
  readonly rssMb: number
  /** On the heap, and outside of it in buffers. */
  readonly heldMb: number
  /** Open files and sockets. */
  readonly files: number
  /** What keeps its event loop alive: timers, sockets, requests. */
  readonly resources: number
}

/** Prints what this process uses, again and again, without keeping it alive. */
export function reportUsage({ everyMs, collects }: { readonly everyMs: number; readonly collects: boolean }): void {
  const collect = collects ? collector() : undefined
  const report = (): void => {
    collect?.()
    const { rss, heapUsed, external } = process.memoryUsage()
    const megabytes = [rss, heapUsed + external].map((bytes) => (bytes / 1e6).toFixed(1))
    console.log(`usage ${megabytes.join(' ')} ${readdirSync('/proc/self/fd').length} ${process.getActiveResourcesInfo().length}`)
  }
  setInterval(report, everyMs).unref()
}

export function usagesOf({ lines }: Pick<TestProcess, 'lines'>): readonly Usage[] {
  return lines.flatMap((line) => {
    const [, rss, held, files, resources] = /^usage (\S+) (\S+) (\d+) (\d+)$/.exec(line) ?? []
    return rss === undefined ? [] : [{ rssMb: Number(rss), heldMb: Number(held), files: Number(files), resources: Number(resources) }]
  })
}

/** @returns what runs a major collection */
export function collector(): () => void {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  return () => {
    if (typeof collect === 'function') collect()
  }
}

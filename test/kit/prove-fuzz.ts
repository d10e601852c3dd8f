import { Worker } from 'node:worker_threads'
import { z } from 'zod'
import { STALL_MS } from '../fuzz.ts'

/** A million with the five seeds that are usual. */
const RUNS = 200_000
/** A message that is read for so long is never read. */
const HANG_MS = 10_000
/** Enough for everything that is read here, little enough that a bomb is noticed. */
const HEAP_MB = 256

const fuzzReport = z.object({
  runs: z.number(),
  read: z.number(),
  refused: z.record(z.string(), z.number()),
  slowestMs: z.number(),
  slowOnce: z.number(),
})

/** What a worker needs: which messages, and where it says how far it is. */
export interface FuzzOrder {
  readonly runs: number
  readonly seed: number
  /** One number: the run that it is at. */
  readonly progress: Int32Array
}

/**
 * Runs the fuzzer over several seeds and prints what came of it.
 *
 * Each runs in a worker, so that a message which never ends, or takes all memory bit by bit, is a result and not the end
 * of the proof. One that takes it at one blow ends the process, which is no success either.
 *
 * @returns whether every message was read as its schema says or refused, in time
 */
export async function proveFuzz(
  seeds: number,
  from: number,
  { runs = RUNS, program = new URL('./programs/fuzzing.ts', import.meta.url), hangMs = HANG_MS, say = console.log } = {},
): Promise<boolean> {
  let holds = true
  for (let seed = from; seed < from + seeds; seed++) {
    const began = performance.now()
    const { problem, report } = await fuzzIn(program, { runs, seed, progress: new Int32Array(new SharedArrayBuffer(4)) }, hangMs)
    const head = `fuzz seed ${seed} (${((performance.now() - began) / 1_000).toFixed(0)} s): `
    if (report !== undefined) say(head + told(report))
    else say(`${head}DOES NOT HOLD\n  ${problem}`)
    holds &&= problem === undefined
  }
  return holds
}

function told({ runs, read, refused, slowestMs, slowOnce }: z.output<typeof fuzzReport>): string {
  const reasons = Object.entries(refused).toSorted(([, a], [, b]) => b - a)
  const causes = reasons.map(([reason, count]) => `${reason} ${count}`).join(', ')
  const busy = slowOnce === 0 ? '' : ` (${slowOnce} took longer once, on a busy machine)`
  return `holds · ${runs} messages: ${read} read, ${causes} · slowest ${slowestMs.toFixed(1)} ms, stalls above ${STALL_MS} ms: 0${busy}`
}

interface Outcome {
  readonly problem?: string
  readonly report?: z.output<typeof fuzzReport>
}

async function fuzzIn(program: URL, order: FuzzOrder, hangMs: number): Promise<Outcome> {
  const worker = new Worker(program, { workerData: order, resourceLimits: { maxOldGenerationSizeMb: HEAP_MB } })
  let at = -1
  const { promise, resolve } = Promise.withResolvers<Outcome>()
  const watch = setInterval(() => {
    if (at === order.progress[0]) resolve({ problem: `seed ${order.seed}, run ${at}: still being read after ${hangMs / 1_000} s` })
    at = order.progress[0] ?? 0
  }, hangMs)
  worker.once('message', (message: unknown) => resolve({ report: fuzzReport.parse(message) }))
  worker.once('error', (error) =>
    resolve({ problem: `run ${order.progress[0]}: ${error instanceof Error ? error.message : String(error)}` }),
  )
  worker.once('exit', (code) => resolve({ problem: `seed ${order.seed}, run ${order.progress[0]}: the worker ended with ${code}` }))
  try {
    return await promise
  } finally {
    clearInterval(watch)
    await worker.terminate()
  }
}

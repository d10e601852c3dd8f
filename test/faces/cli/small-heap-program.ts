import { startWithSmallHeap } from '../../../src/faces/cli/small-heap.ts'

// One line for each start.
console.error(process.pid)
startWithSmallHeap()
process.once('SIGTERM', () => process.exit(7))
const { TITLE: title, MALLOC_ARENA_MAX: arenas, TRUNKLINE_STARTED_AGAIN: mark } = process.env
console.log(JSON.stringify({ argv: process.argv.slice(2), execArgv: process.execArgv, title, arenas, mark, input: await input() }))
if (process.argv.includes('wait')) setInterval(() => undefined, 1_000)
process.disconnect?.()

async function input(): Promise<string> {
  let text = ''
  for await (const chunk of process.stdin) text += String(chunk)
  return text
}

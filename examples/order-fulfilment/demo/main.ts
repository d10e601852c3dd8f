import { parseArgs } from 'node:util'
import { isTrunklineError } from 'trunkline'
import { runDemo } from './demo.ts'
import { type ServiceName, services } from './services.ts'

const usage = `Runs the order example on real servers and checks that everything adds up.

  npm run demo [-- --orders 300 --kill payments --seed 7]

  --orders <n>   orders to place, 10 to 100000 (default 300)
  --kill <name>  the service that is killed with SIGKILL half-way and started again:
                 orders, stock, payments (default) or none
  --seed <n>     makes the same orders again (default 7)
  --help         this text

Exit codes: 0 everything adds up, 1 something does not, 2 wrong usage.`

/** The caller typed something that cannot be meant. */
class UsageError extends Error {}

const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort(signal))

process.exitCode = await main()

async function main(): Promise<number> {
  try {
    const options = { orders: { type: 'string' }, kill: { type: 'string' }, seed: { type: 'string' }, help: { type: 'boolean' } } as const
    const { values } = parseArgs({ options })
    if (values.help === true) {
      console.log(usage)
      return 0
    }
    const holds = await runDemo({
      orders: wholeNumber('orders', values.orders ?? '300', 10, 100_000),
      kill: victim(values.kill),
      seed: wholeNumber('seed', values.seed ?? '7', 0, 2 ** 31),
      signal: stopping.signal,
    })
    return holds ? 0 : 1
  } catch (error) {
    if (stopping.signal.aborted) return 130
    if (error instanceof UsageError || (error instanceof TypeError && 'code' in error)) {
      console.error(`${error.message}\n\n${usage}`)
      return 2
    }
    console.error(isTrunklineError(error) ? error.message : error)
    return 1
  }
}

function wholeNumber(name: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new UsageError(`--${name} must be a whole number from ${min} to ${max}, got "${text}".`)
}

/** @returns `undefined` for the default */
function victim(text: string | undefined): ServiceName | 'none' | undefined {
  if (text === undefined || text === 'none') return text
  const found = services.find((service) => service === text)
  if (found !== undefined) return found
  throw new UsageError(`--kill must be one of ${services.join(', ')} or none, got "${text}".`)
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** Of each kind and seed; with five seeds, two hundred. */
const STORMS = 40

const judges = ['test/core/outbox/storm.test.ts', 'test/core/consume/storm.test.ts']
const root = fileURLToPath(new URL('../..', import.meta.url))

/** Runs the storms of relays and of consumers again and again, each time with a seed and settings of its own. */
export async function proveStorms(seeds: number, from: number): Promise<boolean> {
  const runner = spawn(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...judges], {
    cwd: root,
    env: { ...process.env, TRUNKLINE_STORMS: String(STORMS * seeds), TRUNKLINE_STORM_SEED: String((from - 1) * STORMS + 1) },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const [code] = await once(runner, 'exit')
  return code === 0
}

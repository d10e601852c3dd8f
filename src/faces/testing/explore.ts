import { AssertionError } from 'node:assert'
import { randomInt } from 'node:crypto'
import { z } from 'zod'
import { messageOf } from '../../foundation/errors.ts'
import { parseOptions } from '../../foundation/options.ts'
import { type FaultKind, FaultPlan, faultKinds } from './fault-plan.ts'

export const exploreOptions = z.strictObject({
  /** How many runs at most, 1–100 000. Default 100 seeds, or one run of the seed that is named. */
  runs: z.int().min(1).max(100_000).optional(),
  /** What goes wrong in them. Default: everything. */
  faults: z
    .array(z.enum(faultKinds))
    .min(1)
    .default([...faultKinds]),
  /** Runs this one seed only, as a failure named it; `runs` times where it does not fail each time. Default: seeds by chance. */
  seed: z.int().min(0).max(0xff_ff_ff_ff).optional(),
})
export type Explore = z.input<typeof exploreOptions>

const SEEDS = 100
/** How often a seed that failed is run again, to say whether it fails for sure. */
const REPEATS = 3
/** So many failures that did not come again are passed over in search of one that does. */
const PASSED_OVER_MAX = 4
/** What a failure that does not come each time is to be run with. */
const RUNS_OF_RARE = 50

/** What one run is made of. */
export interface Run<Test> {
  open(plan: FaultPlan): Promise<Test>
  check(test: Test): Promise<void>
}

/**
 * Runs one seed after another until one fails. What comes again is preferred: of a failure that needed an order of events
 * which no seed decides, the next ones are looked at, and it is told only when nothing better was found.
 *
 * @throws AssertionError names the seed and its faults
 */
export async function explore<Test extends { close(): Promise<void> }>(options: Explore, run: Run<Test>): Promise<void> {
  const { runs, faults, seed } = parseOptions(exploreOptions, options, 'explore')
  if (seed !== undefined) return await exploreOne(seed, runs ?? 1, faults, run)
  const count = runs ?? SEEDS
  const first = randomInt(2 ** 32 - count)
  const passedOver: AssertionError[] = []
  for (let index = 0; index < count && passedOver.length <= PASSED_OVER_MAX; index++) {
    const plan = new FaultPlan(first + index, faults)
    const failure = await failureOf(run, plan)
    if (failure === undefined) continue
    const repeated = await repeat(run, plan.seed, faults)
    const found = broken(plan, failure.error, { run: index + 1, count, repeated })
    if (repeated > 0) throw found
    passedOver.push(found)
  }
  if (passedOver[0] !== undefined) throw passedOver[0]
}

async function exploreOne<Test extends { close(): Promise<void> }>(
  seed: number,
  count: number,
  faults: readonly FaultKind[],
  run: Run<Test>,
): Promise<void> {
  for (let index = 0; index < count; index++) {
    const plan = new FaultPlan(seed, faults)
    const failure = await failureOf(run, plan)
    if (failure !== undefined) throw broken(plan, failure.error, { run: index + 1, count, repeated: undefined })
  }
}

async function failureOf<Test extends { close(): Promise<void> }>(
  run: Run<Test>,
  plan: FaultPlan,
): Promise<{ readonly error: unknown } | undefined> {
  const test = await run.open(plan)
  try {
    await run.check(test)
    return undefined
  } catch (error) {
    return { error }
  } finally {
    await test.close()
  }
}

async function repeat<Test extends { close(): Promise<void> }>(
  run: Run<Test>,
  seed: number,
  faults: readonly FaultKind[],
): Promise<number> {
  let failed = 0
  for (let time = 0; time < REPEATS; time++) {
    if ((await failureOf(run, new FaultPlan(seed, faults))) !== undefined) failed += 1
  }
  return failed
}

function broken(
  { seed, fired }: FaultPlan,
  error: unknown,
  { run, count, repeated }: { readonly run: number; readonly count: number; readonly repeated: number | undefined },
): AssertionError {
  const message = [
    `Run ${run} of ${count} failed under seed ${seed}: ${messageOf(error)}`,
    fired.length === 0 ? 'No fault had struck: it fails without any.' : 'Faults that had struck:',
    ...fired.map((fault) => `  ${fault}`),
    ...(repeated === undefined
      ? []
      : [`It failed again in ${repeated} of ${REPEATS} repetitions. Run it alone: ${alone(seed, repeated)}.`]),
  ].join('\n')
  return Object.assign(new AssertionError({ message, operator: 'explore' }), { seed, cause: error })
}

/** The seed decides where faults strike, not in which order the rest comes. */
function alone(seed: number, repeated: number): string {
  return repeated === REPEATS ? `explore({ seed: ${seed} }, …)` : `explore({ seed: ${seed}, runs: ${RUNS_OF_RARE} }, …)`
}

import { AssertionError } from 'node:assert'
import { randomInt } from 'node:crypto'
import { z } from 'zod'
import { messageOf } from '../../foundation/errors.ts'
import { parseOptions } from '../../foundation/options.ts'
import { type FaultKind, FaultPlan, faultKinds } from './fault-plan.ts'

export const exploreOptions = z.strictObject({
  /** How many runs, 1–100 000. Default 100. */
  runs: z.int().min(1).max(100_000).default(100),
  /** What goes wrong in them. Default: everything. */
  faults: z
    .array(z.enum(faultKinds))
    .min(1)
    .default([...faultKinds]),
  /** Runs this one seed only, as a failure named it. Default: seeds by chance. */
  seed: z.int().min(0).max(0xff_ff_ff_ff).optional(),
})
export type Explore = z.input<typeof exploreOptions>

/** How often a seed that failed is run again, to say whether it fails for sure. */
const REPEATS = 3

/** What one run is made of. */
export interface Run<Test> {
  open(plan: FaultPlan): Promise<Test>
  check(test: Test): Promise<void>
}

/** Runs one seed after another until one fails. @throws AssertionError names the seed and its faults */
export async function explore<Test extends { close(): Promise<void> }>(options: Explore, run: Run<Test>): Promise<void> {
  const { runs, faults, seed } = parseOptions(exploreOptions, options, 'explore')
  const first = seed ?? randomInt(2 ** 32 - runs)
  const count = seed === undefined ? runs : 1
  for (let index = 0; index < count; index++) {
    const plan = new FaultPlan(first + index, faults)
    const failure = await failureOf(run, plan)
    if (failure === undefined) continue
    const repeated = seed === undefined ? await repeat(run, plan.seed, faults) : undefined
    throw broken(plan, failure.error, { run: index + 1, count, repeated })
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
      : [`It failed again in ${repeated} of ${REPEATS} repetitions. Run it alone: explore({ seed: ${seed} }, …).`]),
  ].join('\n')
  return Object.assign(new AssertionError({ message, operator: 'explore' }), { seed, cause: error })
}

import { lacksPlace } from '../failures/reason.ts'
import type { HeldPartition } from './effect.ts'
import type { Thrown, Trial } from './trial.ts'

/** Handlers that fail come in bursts. */
const TRACED = 50

/**
 * Has statements note who sends them, when one has failed that did not: a cause names a place in the user's code.
 *
 * To note it always would cost each statement some microseconds; so what fails first runs once more.
 *
 * @returns whether that may make a difference: the message is to run again before it is charged
 */
export function trace<Tx>(held: HeldPartition, trial: Trial<Tx>, threw: readonly Pick<Thrown<Tx>, 'error'>[]): boolean {
  if (trial.traces || !threw.some(({ error }) => lacksPlace(error))) return false
  trial.traces = true
  held.traces = TRACED
  return true
}

import type { Clock } from '../../foundation/clock.ts'
import { TransientError } from '../../foundation/errors.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import { type Reason, reasonFor } from '../failures/reason.ts'
import { placeOf, positionFenced } from './effect.ts'
import { delayAfter } from './policies/retry-policy.ts'
import type { GroupPartition, Position, PositionStore, Started } from './position-store.ts'
import type { ProcessStore } from './process-store.ts'
import type { Failure } from './set-aside.ts'
import type { SubscriptionPolicy } from './subscription.ts'

export interface CrashLoopParts<Tx> {
  readonly positions: PositionStore<Tx>
  readonly processes: ProcessStore
  /** This process, as its heartbeat calls it. */
  readonly processId: string
  readonly clock: Clock
  readonly diagnostics: BackboneDiagnostics
}

/** What is to be feared of the next messages of a partition. */
export interface Suspicion {
  /** Below it each message runs alone: one of them may have ended a process. `undefined`: there is nothing to fear. */
  readonly suspectTo: bigint | undefined
  /** The message that was alone when its process ended. */
  readonly charged: bigint | undefined
}

const innocent: Suspicion = { suspectTo: undefined, charged: undefined }
const LOOK_EVERY_MS = 200

/** The code of a message that was alone when its process ended. */
export const PROCESS_ENDED = 'PROCESS_ENDED'
const TEXT =
  'The process ended while it ran this message alone. Whatever ends a process from outside looks the same; if it happens again and again, the handler aborts, blocks the event loop or uses up the memory.'

/**
 * Looks at what an earlier owner had begun and not ended, once the partition has been taken over.
 *
 * It waits until that owner lets go or its heartbeat is too old. What a dead one had begun is suspect, message by
 * message; only one that was alone is charged, because any SIGKILL looks the same.
 *
 * @throws ConflictError `POSITION_FENCED` somebody else took the partition meanwhile
 * @throws TransientError `STOPPED` the signal aborted
 */
export async function judgeLeftovers<Tx>(
  parts: CrashLoopParts<Tx>,
  place: GroupPartition,
  position: Position,
  signal: AbortSignal,
): Promise<Suspicion> {
  const { positions, processId } = parts
  const started = await letGo(parts, place, position, signal)
  const suspectTo = position.suspectTo ?? undefined
  if (started === null) return suspectTo === undefined ? innocent : { suspectTo, charged: undefined }
  if (started.by === processId) {
    // Its transaction is over: a partition is not assigned again before.
    await positions.unmark(place, processId)
    return { suspectTo, charged: undefined }
  }
  // The mark stays until the message is set aside: if this process ends before, the next one finds it again.
  if (suspectTo !== undefined) return { suspectTo, charged: started.to - 1n }
  if (!(await positions.suspect(place, position.epoch, started.to))) throw positionFenced({ ...place, next: position.nextOffset })
  parts.diagnostics.emit('consumer.suspects', { ...placeOf(place), from: position.nextOffset, to: started.to })
  return { suspectTo: started.to, charged: undefined }
}

/** @returns what a dead process, or this one, left behind; `null` when nothing was left */
async function letGo<Tx>(
  parts: CrashLoopParts<Tx>,
  place: GroupPartition,
  position: Position,
  signal: AbortSignal,
): Promise<Started | null> {
  const { positions, processes, processId, clock } = parts
  let { started } = position
  while (started !== null && started.by !== processId && (await processes.isAlive(started.by))) {
    await clock.sleep(LOOK_EVERY_MS, signal)
    if (signal.aborted) throw new TransientError('STOPPED', 'The partition was revoked while its former owner still had something to end.')
    const now = await positions.look(place)
    if (now === undefined || now.epoch !== position.epoch) throw positionFenced({ ...place, next: position.nextOffset })
    started = now.started
  }
  return started
}

/** The charge: it parks the message, and never makes it dead by itself. Its retries run alone, and their policy decides. */
export function chargeOf(policy: SubscriptionPolicy, name: string): Failure {
  return { attempts: 1, reason: processEnded(name), fate: { state: 'waiting', queued: true, delayMs: delayAfter(policy.retry, 1) ?? 0 } }
}

/** The same as a failure of an attempt, for a retry: there its policy decides. */
export function processEndedError(): TransientError {
  return new TransientError(PROCESS_ENDED, TEXT)
}

function processEnded(name: string): Reason {
  return reasonFor(PROCESS_ENDED, TEXT, name)
}

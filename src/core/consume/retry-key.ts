import { backoffMs } from '../../foundation/backoff.ts'
import { ConflictError, errorName } from '../../foundation/errors.ts'
import { failureName, reasonFor, reasonOf } from '../failures/reason.ts'
import { processEndedError } from './crash-loop.ts'
import { DRAIN_MAX, drainKey } from './drain-key.ts'
import { runHandler } from './pipeline.ts'
import { fateAfter } from './policies/fate.ts'
import { recordFailure } from './record-failure.ts'
import { reactionTo } from './retry.ts'
import type { RetryKeySettings, RetryParts } from './retry-parts.ts'
import type { LeasedKey, LeftSuspicion, QueuedMessage } from './retry-store.ts'
import { type Routed, routeRecord } from './route.ts'
import { withinPart } from './within-part.ts'

/** Reruns after a conflict, before it counts as a failure. */
const CONFLICTS_MAX = 20
/** How soon a key is looked at again whose first message cannot run for a reason outside of it. */
const UNABLE_DELAY_MS = 5_000
/** As long as a registry's "not found" is believed, and a little longer. */
const SCHEMA_DELAY_MS = 15_000

/** Messages of a key that run one by one before its end is sought in one last transaction. */
const SINGLES_MIN = 10

/** Messages of a key that run before others that are due have their turn: a queue that is appended to may never end. */
const TURN_MAX = 500
const HEAD = { messages: 1, bytes: 0 } as const

type RoutedMessage<Tx> = Extract<Routed<Tx>, { kind: 'message' }>

/**
 * Runs the messages of one leased key in their order, each in a transaction of its own, until its queue is empty and the
 * key is unparked, or its first message cannot go on now, or others shall have their turn. Either way the key is given back.
 *
 * Of a key whose first message may have ended a process, that one runs, with nothing else beside it.
 *
 * @throws TransientError the database or the registry is unreachable; nothing was changed and no attempt is spent
 */
export async function emptyKey<Tx extends object>(
  parts: RetryParts<Tx>,
  settings: RetryKeySettings<Tx>,
  key: LeasedKey,
  signal: AbortSignal,
): Promise<void> {
  const { retries, solitude } = parts
  if (key.diedAlone && (await chargeCrash(parts, settings, key))) return
  if (key.leftBehind) return await solitude.alone(() => runSuspect(parts, settings, key, signal))
  const turn = { singles: 0, left: TURN_MAX, renewAt: parts.clock.monotonic() + settings.leaseMs / 2 }
  // One after another among the others, not all at once: who waits to be alone waits for one message, not for the queue.
  while (turn.left-- > 0 && mayBegin(parts, key, signal)) {
    const next = await solitude.together(() => runNext(parts, settings, key, turn, signal))
    if (next === 'ended') return
    if (next === 'give back') break
  }
  await retries.giveBack(key, 0)
}

/** What is still suspected of a key whose first message this process did not run. */
export function suspicionOf({ leftBehind, diedAlone }: LeasedKey): LeftSuspicion {
  if (diedAlone) return 'died alone'
  return leftBehind ? 'left behind' : 'none'
}

/** Each message begins something; a queue may be long. */
function mayBegin<Tx extends object>({ pause }: RetryParts<Tx>, { group }: LeasedKey, signal: AbortSignal): boolean {
  return !signal.aborted && !pause.isPaused(group)
}

async function runNext<Tx extends object>(
  parts: RetryParts<Tx>,
  settings: RetryKeySettings<Tx>,
  key: LeasedKey,
  turn: { singles: number; renewAt: number },
  signal: AbortSignal,
): Promise<'go on' | 'give back' | 'ended'> {
  const { retries, clock } = parts
  if (clock.monotonic() > turn.renewAt) {
    if (!(await retries.renew(key, settings.leaseMs))) return 'ended'
    turn.renewAt = clock.monotonic() + settings.leaseMs / 2
  }
  const hot = turn.singles >= SINGLES_MIN
  const queue = await retries.peek(key, hot ? DRAIN_MAX : HEAD)
  const [head] = queue
  if (head === undefined) return (await unpark(parts, key)) ? 'ended' : 'give back'
  // Messages come as fast as they run: without this, a hot key would never be free again.
  if (hot && (await drainKey(parts, settings, key, queue, signal))) return 'ended'
  if (!mayBegin(parts, key, signal)) return 'give back'
  turn.singles = hot ? 0 : turn.singles + 1
  return (await runHead(parts, settings, key, head, signal)) ? 'go on' : 'ended'
}

/** The note is durable before the message runs, and by then nothing else runs in this process; what stands behind it is not suspect. */
async function runSuspect<Tx extends object>(
  parts: RetryParts<Tx>,
  settings: RetryKeySettings<Tx>,
  key: LeasedKey,
  signal: AbortSignal,
): Promise<void> {
  const { retries } = parts
  if (!mayBegin(parts, key, signal)) return await retries.giveBack(key, 0, suspicionOf(key))
  if (!(await retries.runAlone(key))) return
  const [head] = await retries.peek(key, HEAD)
  if (head === undefined || (await runHead(parts, settings, key, head, signal))) await retries.giveBack(key, 0)
}

async function unpark<Tx extends object>({ retries, diagnostics }: RetryParts<Tx>, key: LeasedKey): Promise<boolean> {
  const { group, topic } = key
  diagnostics.emit('retry.unparking', { group, topic })
  try {
    if (!(await retries.unpark(key))) return false
  } catch (error) {
    // Whoever appends holds the key for longer than a lock is waited for.
    if (error instanceof ConflictError) return false
    throw error
  }
  diagnostics.emit('retry.unparked', { group, topic })
  return true
}

/** What a message waits at least that may have ended a process: whatever else the process does must have its time. */
const CRASH_DELAY_MS_MIN = 10_000

/**
 * A process died while it ran this message and nothing else. It is charged with an attempt, and waits; once is never
 * enough to make it dead, for a process that is ended from outside looks the same. After that its policy decides.
 *
 * @returns whether it was charged, and the key given back
 */
async function chargeCrash<Tx extends object>(parts: RetryParts<Tx>, settings: RetryKeySettings<Tx>, key: LeasedKey): Promise<boolean> {
  const [head] = await parts.retries.peek(key, HEAD)
  const routed = head === undefined ? undefined : await route(parts, settings, head)
  if (head === undefined || routed?.kind !== 'message') return false
  const { message, subscription } = routed
  const attempts = head.attempts + 1
  const error = processEndedError()
  const fate = attempts > 1 ? fateAfter(subscription.policy, attempts, error) : ({ state: 'waiting', queued: true, delayMs: 0 } as const)
  const waits = fate.state === 'waiting' ? { ...fate, delayMs: Math.max(CRASH_DELAY_MS_MIN, fate.delayMs) } : fate
  parts.diagnostics.emit('delivery.failed', { group: key.group, type: message.type, id: message.id, attempt: attempts, reason: error.code })
  await recordFailure(parts, key, head, message, reasonFor(error.code, error.message, message.name), waits)
  return true
}

/** @returns whether it was applied; otherwise the key is not this process's any more */
async function runHead<Tx extends object>(
  parts: RetryParts<Tx>,
  settings: RetryKeySettings<Tx>,
  key: LeasedKey,
  head: QueuedMessage,
  signal: AbortSignal,
): Promise<boolean> {
  let conflicts = 0
  while (true) {
    let handlerRan = false
    let routed: Routed<Tx> | undefined
    try {
      routed = await route(parts, settings, head)
      if (routed.kind !== 'message') return await setAside(parts, key, head, routed)
      const onStart = (): void => {
        handlerRan = true
      }
      if (await apply(parts, key, head, routed, { signal, onStart })) return true
      // It is not the first one any more, or the lease is somebody else's.
      await parts.retries.giveBack(key, 0)
      return false
    } catch (error) {
      const reaction = reactionTo(error, handlerRan)
      // A handler that was told to stop did not fail.
      const stopped = signal.aborted && reaction !== 'permanent'
      const tooOften = reaction === 'conflict' && ++conflicts > CONFLICTS_MAX
      // Before the handler ran it was our own statements that met somebody's lock.
      const isNobodys = reaction === 'unavailable' || reaction === 'fenced' || (tooOften && !handlerRan)
      if (stopped || isNobodys || routed?.kind !== 'message') {
        // It has not run to its end; but this process lives, so nobody died of it alone.
        await parts.retries.giveBack(key, stopped ? 0 : UNABLE_DELAY_MS, key.leftBehind ? 'left behind' : 'none')
        if (!stopped) parts.diagnostics.emit('retry.interrupted', { group: key.group, reason: errorName(error) })
        return false
      }
      if (reaction === 'conflict' && !tooOften) {
        await parts.clock.sleep(backoffMs(conflicts, { minMs: 1, maxMs: 100, jitter: 1 }), signal)
        continue
      }
      await fail(parts, key, head, routed, error)
      return false
    }
  }
}

/** Outside of the transaction, because a registry may have to be asked. */
async function route<Tx extends object>(
  { writerSchemas }: RetryParts<Tx>,
  { subscriptions }: RetryKeySettings<Tx>,
  { record, place }: QueuedMessage,
): Promise<Exclude<Routed<Tx>, { kind: 'schema needed' }>> {
  let routed = routeRecord(record, place, { subscriptions, writerSchemas })
  while (routed.kind === 'schema needed') {
    await writerSchemas?.load(routed.schemaId)
    routed = routeRecord(record, place, { subscriptions, writerSchemas })
  }
  return routed
}

/**
 * One transaction: lock the key, take the message if it is still the first, handler, outgoing, COMMIT.
 *
 * The id was claimed when the message was parked; the deleted row is what makes the effect happen once.
 */
async function apply<Tx extends object>(
  parts: RetryParts<Tx>,
  key: LeasedKey,
  head: QueuedMessage,
  { message, subscription }: RoutedMessage<Tx>,
  run: { readonly signal: AbortSignal; readonly onStart: () => void },
): Promise<boolean> {
  const { database, diagnostics, publisher, retries, share } = parts
  const { group } = key
  const cause = { id: message.id, correlationId: message.correlationId }
  const attempt = head.attempts + 1
  const work = async (tx: Tx): Promise<boolean> => {
    if (!(await retries.take(tx, key, [head]))) return false
    run.onStart()
    diagnostics.emit('delivery.started', { group, type: message.type, id: message.id, attempt })
    const part = database.part?.(tx, true)
    const own = part?.tx ?? tx
    publisher.enter(tx, own, cause)
    const { inboxId } = head
    await withinPart(part, () => runHandler(parts, { tx: own, group, inboxId, message, subscription, attempt, signal: run.signal }))
    diagnostics.emit('retry.committing', { group, type: message.type, id: message.id })
    return true
  }
  // It may run again when the outcome is unknown: the row is there, or it is not.
  const applied = await share.use(`retries ${group}`, () => publisher.transaction(work, { rerunsWhenUnknown: true }))
  if (!applied) return false
  const told = { group, type: message.type, id: message.id, ...head.place, offset: head.record.offset }
  diagnostics.emit('delivery.applied', { ...told, publishedAt: message.time.getTime() })
  return true
}

/** What this process cannot run, spends no attempt; what no process can read, is dead. */
async function setAside<Tx extends object>(
  parts: RetryParts<Tx>,
  key: LeasedKey,
  head: QueuedMessage,
  routed: Exclude<Routed<Tx>, { kind: 'message' | 'schema needed' }>,
): Promise<false> {
  if (routed.kind !== 'unreadable') {
    const delayMs = routed.kind === 'unhandled' ? UNABLE_DELAY_MS : SCHEMA_DELAY_MS
    await parts.retries.giveBack(key, delayMs, suspicionOf(key))
    return false
  }
  const reason = reasonFor(routed.code, routed.reason, routed.type)
  // What a handler failed on holds its key, even if it was not kept whole; what never was readable holds nobody up.
  const queued = head.attempts > 0
  await recordFailure(parts, key, head, { type: routed.type, id: head.inboxId }, reason, { state: 'dead', queued, delayMs: 0 })
  return false
}

async function fail<Tx extends object>(
  parts: RetryParts<Tx>,
  key: LeasedKey,
  head: QueuedMessage,
  { message, subscription }: RoutedMessage<Tx>,
  error: unknown,
): Promise<void> {
  const attempts = head.attempts + 1
  const seen = { group: key.group, type: message.type, id: message.id }
  parts.diagnostics.emit('delivery.failed', { ...seen, attempt: attempts, reason: failureName(error) })
  await recordFailure(parts, key, head, message, reasonOf(error, message.name), fateAfter(subscription.policy, attempts, error))
}

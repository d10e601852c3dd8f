import type { RequestQueue } from '../internals.ts'

/** Requests time out after 30 s; a second more or less does not matter. */
const TIMEOUT_CHECK_MS = 1_000

/**
 * Removes: every connection re-arms a timer of about 1 ms for ever, even with nothing to send, and looks for requests
 * that timed out ten times a second, even with none on its way.
 *
 * An idle process with one producer took 3.1 % of a core, 0.4 % without it; Node 24 also warns of the negative delay.
 * The first timer is needed only while requests wait, because of throttling or too many in flight; the second only
 * while a reply is due.
 *
 * @see https://github.com/tulios/kafkajs/issues/1704
 */
export function removeIdleTimerSpin(queue: RequestQueue): void {
  const schedule = queue.scheduleCheckPendingRequests
  queue.scheduleCheckPendingRequests = function scheduleWhenWaiting(): void {
    if (queue.pending.length > 0) schedule.call(queue)
  }
  const send = queue.sendSocketRequest
  queue.sendSocketRequest = function sendWatched(request): void {
    send.call(queue, request)
    queue.scheduleRequestTimeoutCheck()
  }
  queue.scheduleRequestTimeoutCheck = function checkWhileInFlight(): void {
    if (queue.inflight.size === 0) return
    queue.requestTimeoutIntervalId ??= setInterval(() => endTimedOut(queue), TIMEOUT_CHECK_MS)
  }
  const destroy = queue.destroy
  queue.destroy = function destroyWatch(): void {
    destroy.call(queue)
    queue.requestTimeoutIntervalId = undefined
  }
}

function endTimedOut(queue: RequestQueue): void {
  for (const request of queue.inflight.values()) {
    if (Date.now() - request.sentAt > request.requestTimeout) request.timeoutRequest()
  }
  if (!queue.isConnected()) queue.destroy()
  else if (queue.inflight.size === 0) {
    clearInterval(queue.requestTimeoutIntervalId)
    queue.requestTimeoutIntervalId = undefined
  }
}

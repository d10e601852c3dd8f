import { describe, expect } from 'vitest'
import type { FailpointName } from '../kit/failpoints.ts'
import { beginRun, onKafka } from '../kit/scenario.ts'

const keys = ['a', 'b', 'c']

/** A worker dies at the failpoint while its keys are appended to; the next process goes on where it stood. */
async function workerDies(at: FailpointName, nth = 1) {
  await using run = await beginRun({ partitions: 2 })
  for (const note of ['fails 1', '', 'fails 2', '', '', 'poison', '']) {
    for (const key of keys) await run.publish(key, note)
  }
  const first = run.spawn({ run: ['relay', 'consume'], failpoints: [{ at, nth, act: 'SIGKILL' }] })
  const { signal } = await first.ended()
  run.spawn({ run: ['relay', 'consume'] })
  await run.drained()
  await run.retried()
  const queue = await run.query('select state, attempts from trunkline.parked_message order by seq')
  return { signal, fired: first.fired(at), queue, ...(await run.judge()) }
}

describe.concurrent('G3, G4, G7: a process dies while it runs a parked key', () => {
  const failpoints: [FailpointName, number][] = [
    ['retry.committing', 1],
    ['retry.recording', 1],
    ['retry.unparking', 1],
  ]
  for (const [at, nth] of failpoints) {
    onKafka(`at ${at}: each effect once, in order, no attempt spent, and what is dead is kept`, { timeout: 120_000 }, async () => {
      const run = await workerDies(at, nth)

      expect(run).toMatchObject({ fired: true, signal: 'SIGKILL', violations: [] })
      // Of each key the poison is dead after its three attempts, and one message waits behind it.
      expect(run.counts).toMatchObject({ committed: 21, effects: 15, kept: 6 })
      expect(run.queue.filter(({ state }) => state === 'dead')).toEqual(keys.map(() => ({ state: 'dead', attempts: 3 })))
    })
  }

  onKafka(
    'G3, G4: a worker that is frozen in the middle of a parked message, past its lease and its heartbeat, does no harm when it wakes up',
    { timeout: 120_000 },
    async () => {
      await using run = await beginRun({ partitions: 2 })
      for (const note of ['fails 1', '', 'fails 2', '']) {
        for (const key of keys) await run.publish(key, note)
      }
      const frozen = run.spawn({ run: ['relay', 'consume'], failpoints: [{ at: 'retry.committing', act: 'SIGSTOP' }] })
      await frozen.says('failpoint retry.committing 1')
      run.spawn({ run: ['relay', 'consume'] })
      await run.drained()
      await run.retried()

      frozen.kill('SIGCONT')
      for (const key of keys) await run.publish(key, 'fails 1')
      await run.drained()
      await run.retried()
      const verdict = await run.judge()

      expect(verdict.violations).toEqual([])
      expect(verdict.counts).toMatchObject({ committed: 15, effects: 15, kept: 0 })
    },
  )
})

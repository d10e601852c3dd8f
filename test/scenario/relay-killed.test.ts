import { describe, expect } from 'vitest'
import type { Variant } from '../kit/broken/variants.ts'
import type { FailpointName } from '../kit/failpoints.ts'
import { beginRun, onKafka } from '../kit/scenario.ts'

const keys = ['a', 'b', 'c', 'd', 'e']

/** A relay dies at the failpoint while it empties the outbox; another takes over; a consumer applies. */
async function relayDies(at: FailpointName, broken?: Variant) {
  await using run = await beginRun()
  await run.publishAll(keys, 20)
  const variant = broken === undefined ? {} : { broken }
  // Deletes gather into few statements on a slow machine, so only the first of them is sure to come.
  const nth = at === 'relay.removing' || at === 'relay.removed' ? 1 : 3
  const first = run.spawn({ run: ['relay'], failpoints: [{ at, nth, act: 'SIGKILL' }], ...variant })
  const { signal } = await first.ended()
  run.spawn({ run: ['relay', 'consume'], ...variant })
  await run.drained()
  return { signal, fired: first.fired(at), ...(await run.judge()) }
}

describe.concurrent('G1, G2, G3, G4: the relay is killed', () => {
  const failpoints: FailpointName[] = ['relay.sending', 'relay.acked', 'relay.removing', 'relay.removed']
  for (const at of failpoints) {
    onKafka(`at ${at}: nothing is lost, invented, overtaken or applied twice`, { timeout: 90_000 }, async () => {
      const run = await relayDies(at)

      expect(run).toMatchObject({ fired: true, signal: 'SIGKILL', violations: [] })
      expect(run.counts).toMatchObject({ committed: 100, logged: 100, effects: 100 })
    })
  }

  onKafka('between send and remove: what was sent is sent again, and its effect is made once', { timeout: 90_000 }, async () => {
    const run = await relayDies('relay.removing')

    expect(run).toMatchObject({ fired: true, violations: [] })
    expect(run.counts.sentAgain).toBeGreaterThan(0)
    expect(run.counts.effects).toBe(100)
  })
})

describe.concurrent('the judge catches', () => {
  onKafka('a relay that removes before it sends', { timeout: 90_000 }, async () => {
    const run = await relayDies('relay.sending', 'mark-before-produce')

    expect(run.fired).toBe(true)
    expect(run.violations).toContainEqual(expect.stringMatching(/^lost: committed and not in the log/))
  })

  onKafka('a consumer that remembers no ids', { timeout: 90_000 }, async () => {
    const run = await relayDies('relay.removing', 'no-inbox-key')

    expect(run.fired).toBe(true)
    expect(run.violations).toContainEqual(expect.stringMatching(/^applied more than once/))
  })
})

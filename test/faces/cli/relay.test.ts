import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect } from 'vitest'
import type { Run as Ground } from '../../kit/run.ts'
import { beginRun, onKafka } from '../../kit/scenario.ts'
import { until } from '../../kit/wait.ts'
import { Run } from './run.ts'

/** `trunkline relay`, as an operator runs three of them. */
function threeRelays(ground: Ground): Run[] {
  const environment = {
    DATABASE_URL: ground.servers.databaseUrl,
    KAFKA_BROKERS: ground.servers.brokers.join(','),
    LOG_LEVEL: 'info',
  }
  return Array.from({ length: 3 }, () => new Run(['relay'], environment))
}

const terms = ({ stdout }: Run): number => stdout.split('relay.term_started').length - 1

async function ownerOf(relays: readonly Run[]): Promise<Run> {
  return await until('an owner', () => relays.find((relay) => relay.process.exitCode === null && terms(relay) > 0), 30_000)
}

/** Of its process, as far as the system tells them. */
function threadsOf({ process: { pid } }: Run): string[] {
  const tasks = `/proc/${pid}/task`
  return existsSync(tasks) ? readdirSync(tasks).map((task) => readFileSync(`${tasks}/${task}/comm`, 'utf8').trim()) : []
}

describe('three stand-alone relays', () => {
  onKafka('the next one takes over within the lease after a SIGKILL, and at once after a SIGTERM', { timeout: 120_000 }, async () => {
    await using ground = await beginRun()
    const relays = threeRelays(ground)
    try {
      const first = await ownerOf(relays)
      await until('the others', () => relays.every(({ stderr }) => stderr.includes('The relay runs')), 30_000)
      await ground.publishAll(['a', 'b'], 3)
      await ground.relayed()
      const before = relays.map(terms)
      const threads = relays.flatMap(threadsOf)

      first.process.kill('SIGKILL')
      await first.end()
      const [lease] = await ground.query('select expires_at from trunkline.outbox_lease')
      await ground.publishAll(['a', 'b'], 3)
      await ground.relayed()
      const rest = relays.filter((relay) => relay !== first)
      const second = await ownerOf(rest)
      const [took] = await ground.query("select $1::timestamptz > trunkline.now() - interval '5 seconds' as soon", [lease?.['expires_at']])

      second.process.kill('SIGTERM')
      const { code } = await second.end()
      const [third] = rest.filter((relay) => relay !== second)
      // Its lease would have run out only in ten seconds.
      await until('the last one in office', () => third !== undefined && terms(third) === 1, 5_000)
      await ground.publishAll(['a', 'b'], 3)
      await ground.relayed()

      expect(before.toSorted((a, b) => a - b)).toEqual([0, 0, 1])
      expect(threads.filter((name) => name.startsWith('trunkline'))).toEqual([])
      expect(took).toEqual({ soon: true })
      expect(code).toBe(0)
      expect(await ground.query('select epoch::int as terms from trunkline.outbox_lease')).toEqual([{ terms: 3 }])
    } finally {
      for (const relay of relays) relay.process.kill('SIGKILL')
    }
  })
})

import { expect, test } from 'vitest'
import type { Replacements } from '../../kit/assembly.ts'
import { slotByClock } from '../../kit/broken/slot-by-clock.ts'
import { applyCounted } from '../../kit/workload.ts'
import { ConsumeBench } from './consume-bench.ts'

/** Applies messages, lets the clock of the database pass an hour, a day or a week, and has them sent again. */
async function sentAgainLater(shift: string, replacements: Replacements = {}) {
  const bench = await ConsumeBench.open()
  await bench.publishAll(['a', 'b', 'a'])
  await consumeAll(bench, replacements)
  const [database] = await bench.query('select current_database() as name')
  await bench.query(`alter database "${String(database?.['name'])}" set trunkline.shift = '${shift}'`)
  await bench.sendAgain()
  await consumeAll(bench, replacements)
  return await bench.violations()
}

async function consumeAll(bench: ConsumeBench, replacements: Replacements): Promise<void> {
  const assembly = bench.assembly(replacements)
  applyCounted(assembly, { topic: 't' })
  await assembly.start({ run: ['consume'] })
  await bench.settled()
  await assembly.stop()
}

test.for(['1 hour', '1 day', '7 days'])('a message that is sent again %s later meets its row', async (shift) => {
  expect(await sentAgainLater(shift)).toEqual([])
})

test('an inbox that keeps ids by its own clock applies it twice, and the judge sees it', async () => {
  const violations = await sentAgainLater('1 hour', { inbox: slotByClock })

  expect(violations).toContainEqual(expect.stringMatching(/^applied more than once/))
})

test('a message that is still kept when its row is forgotten may be sent again: it keeps its place, and nobody waits for it', async () => {
  const bench = await ConsumeBench.open()
  await bench.publishAll([['a', 'poison'], 'a'])
  await consumeAll(bench, {})
  await bench.query('truncate trunkline.inbox')
  await bench.sendAgain()
  await bench.publish('b')

  await consumeAll(bench, {})

  expect(await bench.effects()).toEqual(['b1'])
  expect(await bench.parked()).toMatchObject([{ state: 'dead' }, { state: 'waiting' }])
})

import { expect, test } from 'vitest'
import type { SubscriptionOptions } from '../../../src/core/consume/registry.ts'
import { contract } from '../../../src/core/contract/contract.ts'
import { type Counted, countedOn } from '../../kit/contracts.ts'
import { ConsumeBench } from './consume-bench.ts'

const loose = countedOn('t')
const [first] = loose.definition.versions
/** The same with a rule that each key's first message breaks. */
const schema = {
  type: 'record',
  name: 'test.Counted',
  fields: [
    { name: 'key', type: 'string' },
    { name: 'version', type: { type: 'long', 'x-min': 2 } },
    { name: 'note', type: 'string', default: '' },
  ],
}
const tightened: Counted = contract({
  ...loose.definition,
  version: 2,
  versions: loose.definition.versions.concat({ version: 2, fingerprint: first?.fingerprint ?? '', schema }),
})

async function consuming(options: SubscriptionOptions) {
  const bench = await ConsumeBench.open()
  const { backbone, witness } = bench.backbone()
  const insert = 'insert into effect (key, version) values ($1, $2)'
  backbone.subscribe(tightened, async ({ data }, { tx }) => void (await tx.query(insert, [data.key, data.version])), options)
  for (const key of ['a', 'a', 'b']) await bench.publish(key)
  await backbone.start({ run: ['consume'] })
  await bench.settled()
  return { bench, witness }
}

test('a message that breaks a rule which is newer than it reaches its handler', async () => {
  const { bench } = await consuming({})

  expect(await bench.effects()).toEqual(['a1', 'a2', 'b1'])
  expect(await bench.parked()).toEqual([])
})

test('it is a dead letter at once where the subscription asks for the rules, and holds its key as any other', async () => {
  const { bench, witness } = await consuming({ checkRules: true })

  expect(await bench.effects()).toEqual([])
  expect(await bench.parked()).toEqual([
    { state: 'dead', attempts: 1, reason_code: 'RULE_BROKEN', keyed: true },
    { state: 'waiting', attempts: 0, reason_code: 'KEY_PARKED', keyed: true },
    { state: 'dead', attempts: 1, reason_code: 'RULE_BROKEN', keyed: true },
  ])
  const [dead] = await bench.query("select reason from trunkline.parked_message where state = 'dead' limit 1")
  expect(dead?.['reason']).toMatch(/test\.Counted\.v1 breaks a rule.*checkRules.*"version" must be at least 2, got 1/)
  expect(witness.count('delivery.failed')).toBe(2)
})

test('a message that keeps the rules reaches its handler where the subscription asks for them', async () => {
  const bench = await ConsumeBench.open()
  const { backbone } = bench.backbone()
  const seen: unknown[] = []
  backbone.subscribe(loose, async ({ data }) => void seen.push({ ...data }), { checkRules: true })
  await bench.publish('a')
  await backbone.start({ run: ['consume'] })

  await bench.settled()

  expect(seen).toEqual([{ key: 'a', version: 1, note: '' }])
})

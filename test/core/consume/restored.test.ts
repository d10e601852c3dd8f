import { expect, test } from 'vitest'
import { ConsumeBench, consuming } from './consume-bench.ts'

const tables = ['trunkline.consumer_position', 'trunkline.inbox', 'trunkline.parked_key', 'trunkline.parked_message', 'effect']

/** What a dump of the consumer's database holds. */
async function dump(bench: ConsumeBench): Promise<void> {
  await bench.query('create schema dump')
  for (const [index, table] of tables.entries()) await bench.query(`create table dump.t${index} as table ${table}`)
}

/** Puts it back, in one transaction: as a restored database, nobody sees half of it. */
async function restore(bench: ConsumeBench): Promise<void> {
  const columns = async (table: string): Promise<string> => {
    const [row] = await bench.query(
      `select string_agg(quote_ident(attname), ', ' order by attnum) as names from pg_attribute
        where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = ''`,
      [table],
    )
    return String(row?.['names'])
  }
  const puts: string[] = []
  for (const [index, table] of tables.entries()) {
    const names = await columns(table)
    puts.push(`insert into ${table} (${names}) overriding system value select ${names} from dump.t${index}`)
  }
  await bench.query(`begin; truncate ${tables.join(', ')}; ${puts.join('; ')}; commit`)
}

const all = ['a1', 'b1', 'a2', 'b2', 'a3', 'b3', 'a4', 'b4']

/** Half of the messages are applied when the dump is taken, the others after it. */
async function appliedBeyondDump() {
  const bench = await ConsumeBench.open()
  const owner = await consuming(bench)
  await bench.publishAll(['a', 'b', 'a', 'b'])
  await bench.settled()
  await dump(bench)
  await bench.publishAll(['a', 'b'])
  await bench.settled()
  return { bench, owner }
}

test('a consumer whose database is restored to an earlier dump reads on from where it stood then: each effect is there once', async () => {
  const { bench, owner } = await appliedBeyondDump()
  await owner.backbone.stop()

  await restore(bench)
  await consuming(bench)
  await bench.publishAll(['a', 'b'])
  await bench.settled()

  expect(await bench.effects()).toEqual(all)
  expect(await bench.violations()).toEqual([])
})

test('a consumer that lives while its database is set back under it finds that out by its fence, and reads on from there', async () => {
  const { bench, owner } = await appliedBeyondDump()

  await restore(bench)
  await bench.publishAll(['a', 'b'])
  await bench.settled()

  expect(await bench.effects()).toEqual(all)
  expect(await bench.violations()).toEqual([])
  expect(owner.witness.count('consumer.fenced')).toBeGreaterThan(0)
})

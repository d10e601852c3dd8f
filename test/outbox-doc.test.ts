import { readFileSync } from 'node:fs'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createBackbone } from '../src/index.ts'
import { trunkline } from './faces/cli/run.ts'
import { countedOn } from './kit/contracts.ts'
import { createTestDatabase } from './kit/database.ts'

const page = readFileSync(new URL('../docs/outbox.md', import.meta.url), 'utf8')

/** What a reader would type, in the order of the page. */
const commands = blocks('sh').flatMap((text) => text.split('\n').filter((line) => line !== ''))
const statements = blocks('sql').flatMap((text) => text.split(/;\s*\n/).filter((statement) => statement.trim() !== ''))

function blocks(language: string): string[] {
  return [...page.matchAll(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, 'g'))].map(([, text = '']) => text)
}

let url: string
let client: Client

/** A key of the page's is held, and one message more waits for a relay. */
beforeAll(async () => {
  ;({ url } = await createTestDatabase())
  client = new Client({ connectionString: url })
  await client.connect()
  const backbone = createBackbone({ service: 'shop', kafka: { driver: 'memory' }, database: { connectionString: url }, logger: false })
  const Counted = countedOn('orders')
  await backbone.transaction((tx) => backbone.publish(tx, [Counted({ key: 'o-17', version: 1 }), Counted({ key: 'o-17', version: 2 })]))
  await backbone.stop()
  await client.query(`
    insert into trunkline.outbox_held_key (topic, key, head_seq, head_id, reason_code, reason)
    select topic, key, seq, id, 'MESSAGE_TOO_LARGE', 'too large' from trunkline.outbox order by seq limit 1`)
})

afterAll(() => client.end())

test('every command of the page does what it says', { timeout: 120_000 }, async () => {
  const ended: string[] = []
  for (const line of commands) {
    // Nobody waits two hours for a relay that does not run.
    const words = [...line.replace('2h', '200ms').matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '')
    const { code, stderr } = await trunkline(words.slice(1), { DATABASE_URL: url })
    const expected = words.includes('wait-empty') ? 3 : 0
    if (code !== expected) ended.push(`${line}: ${code} ${stderr}`)
  }

  expect(ended).toEqual([])
  expect(commands.length).toBeGreaterThan(8)
  const { rows } = await client.query('select act, reason from trunkline.audit order by seq')
  expect(rows).toEqual([
    { act: 'outbox redrive', reason: 'max.message.bytes was raised' },
    { act: 'outbox discard', reason: 'its order was cancelled by hand' },
  ])
})

test.each(statements)('the database understands: %s', async (statement) => {
  await expect(client.query(statement)).resolves.toBeDefined()
})

test('what the page names exists', () => {
  const named = [...page.matchAll(/`(relay\.[a-z_]+|incident\.recorded)`/g)].map(([, name = '']) => name)
  const catalogue = readFileSync(new URL('../src/core/diagnostics.ts', import.meta.url), 'utf8')
  const options = readFileSync(new URL('../README.md', import.meta.url), 'utf8')

  expect(named.filter((name) => !catalogue.includes(`'${name}'`) && !options.includes(`\`${name}\``))).toEqual([])
})

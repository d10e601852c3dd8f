import { Client } from 'pg'
import { expect, inject, onTestFinished, test } from 'vitest'
import { statementsIn, Wire } from '../../../src/faces/testing/wire.ts'

async function connected(onStatement: (sql: string, wire: Wire) => number) {
  const wire: Wire = new Wire({ onStatement: (sql) => onStatement(sql, wire), onCommitSent: () => undefined })
  const client = new Client({ connectionString: inject('databaseUrl'), stream: wire.stream })
  client.on('error', () => undefined)
  await client.connect()
  onTestFinished(() => client.end().catch(() => undefined))
  return client
}

test('hears of a statement each time that it runs, prepared or not', async () => {
  const heard: string[] = []
  const client = await connected((sql) => {
    heard.push(sql)
    return 0
  })

  for (let time = 0; time < 3; time++) await client.query({ name: 'one', text: 'select 1 + $1::int', values: [time] })
  await client.query('select $1::int', [1])

  expect(heard).toEqual([...Array(3).fill('select 1 + $1::int'), 'select $1::int'])
})

test('can be cut before a prepared statement leaves for the second time', async () => {
  let times = 0
  const client = await connected((_, wire) => {
    if (++times === 2) wire.cut()
    return 0
  })
  const ask = () => client.query({ name: 'one', text: 'select 1 + $1::int', values: [1] })
  await ask()

  await expect(ask()).rejects.toThrow('Connection terminated')
})

test('finds every statement of one write, and stops at what it does not know', () => {
  const message = (kind: string, ...texts: string[]): Buffer => {
    const body = Buffer.concat([...texts.map((text) => Buffer.from(`${text}\0`)), Buffer.alloc(4)])
    const head = Buffer.alloc(5)
    head.write(kind)
    head.writeUInt32BE(body.length + 4, 1)
    return Buffer.concat([head, body])
  }
  const write = Buffer.concat([
    message('P', '', 'select 1'),
    message('B', '', ''),
    message('P', 'two', 'select 2'),
    message('B', '', 'two'),
    message('S'),
    message('B', '', 'two'),
  ])

  expect(statementsIn(write, new Map())).toEqual(['select 1', 'select 2', 'select 2'])
  expect(statementsIn(Buffer.from([0, 0, 0, 9, 0, 3, 0, 0, 0]), new Map())).toEqual([])
  expect(statementsIn(Buffer.from('P\0\0\0\0'), new Map())).toEqual([])
})

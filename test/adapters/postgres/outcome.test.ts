import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { UnknownOutcomeError } from '../../../src/foundation/errors.ts'
import { PrivateServer } from '../../kit/private-servers.ts'
import { until, Witness } from '../../kit/wait.ts'
import { insert, openDatabase, withTable } from './open-database.ts'

/** The id under which a committed transaction can be asked for. */
async function committed({ database, diagnostics }: Awaited<ReturnType<typeof openDatabase>>, n: number): Promise<string> {
  const witness = new Witness(diagnostics)
  await database.transaction((tx) => tx.query(insert, [n]))
  witness.stop()
  return String(witness.all('transaction.committed')[0]?.transactionId)
}

test('a commit is told as one while the server lives, and as unknown when another life of it says so', async () => {
  const open = await withTable()
  const transactionId = await committed(open, 1)
  const [generation, xid] = transactionId.split('/')

  const outcomes = [transactionId, `another-${generation}/${xid}`, String(xid)].map((id) => open.database.outcomeOf(id))

  expect(await Promise.all(outcomes)).toEqual(['committed', 'unknown', 'unknown'])
})

test('a rollback is one in every life of the server', async () => {
  const { database } = await withTable()
  let xid: unknown
  await database
    .transaction(async (tx) => {
      xid = (await tx.query('select pg_current_xact_id()::text as xid')).rows[0]?.['xid']
      throw new Error('roll back')
    })
    .catch(() => undefined)

  expect(await database.outcomeOf(`another/${String(xid)}`)).toBe('aborted')
})

test.for(['any/999999999999', 'any/99999999999999999999', 'any/x', 'nonsense', ''])(
  'nothing is known about %j, and that is no error',
  async (id) => {
    const { database } = await openDatabase()

    expect(await database.outcomeOf(id)).toBe('unknown')
  },
)

test('after a crash, an id that was given to a stranger is not told as committed', { timeout: 120_000 }, async () => {
  await using server = await PrivateServer.start('PostgreSQL')
  const url = await server.migratedDatabase('outcome')
  const { database } = await withTable({ url })
  let xid = 0n

  const error = await database
    .transaction((tx) => tx.query(insert, [1]), {
      beforeCommit: async (tx) => {
        const { rows } = await database.queryable(tx).query('select pg_current_xact_id_if_assigned()::text as xid')
        xid = BigInt(rows[0]?.['xid'])
        // Before the writer of the log has put this number on the disk.
        await server.kill()
        return String(xid)
      },
      lastWaits: () => true,
    })
    .catch((thrown: unknown) => thrown)
  if (!(error instanceof UnknownOutcomeError)) throw error
  const transactionId = String(error.details['transactionId'])
  await server.restart()
  const early = await until('the server', () => database.outcomeOf(transactionId))
  const strangers = async (): Promise<bigint> =>
    BigInt((await database.outside.query('select pg_current_xact_id()::text as xid')).rows[0]?.['xid'])
  await until('strangers to pass the number', async () => (await strangers()) > xid)

  expect(early).not.toBe('committed')
  expect(await database.outcomeOf(transactionId)).not.toBe('committed')
  expect((await database.outside.query('select from effect')).rowCount).toBe(0)
})

test('a crash that the server survives begins another life, for a user without privileges too', { timeout: 120_000 }, async () => {
  await using server = await PrivateServer.start('PostgreSQL')
  const url = await server.migratedDatabase('outcome')
  const owner = new Client({ connectionString: url })
  owner.on('error', () => undefined)
  await owner.connect()
  onTestFinished(() => owner.end())
  await owner.query("create role guest login password 'guest'")
  await owner.query('create table public.effect (n int primary key)')
  await owner.query('grant all on public.effect to guest')
  const guest = new URL(url)
  guest.username = 'guest'
  guest.password = 'guest'
  const open = await openDatabase({ url: guest.href })
  const transactionId = await committed(open, 1)
  const before = await open.database.outcomeOf(transactionId)

  const { rows } = await owner.query('select pg_backend_pid() as pid')
  process.kill(rows[0].pid, 'SIGKILL')
  await until('the end of the connection', () =>
    owner.query('select 1').then(
      () => false,
      () => true,
    ),
  )
  // The server answers for a moment longer before it ends its other connections.
  await until('the recovery', async () => (await open.database.outcomeOf(transactionId)) === 'unknown' && open.database.reachable())
  const next = await until('a commit after it', () => committed(open, 2).catch(() => false as const))

  expect([before, await open.database.outcomeOf(transactionId)]).toEqual(['committed', 'unknown'])
  expect(await open.database.outcomeOf(String(next))).toBe('committed')
})

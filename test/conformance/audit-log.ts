import { expect, test } from 'vitest'
import type { Database } from '../../src/core/database/database.ts'
import type { AuditEntry, AuditLog } from '../../src/core/failures/audit.ts'

export interface AuditLogSubject<Tx> {
  readonly database: Database<Tx>
  readonly audit: AuditLog<Tx>
}

function entry(subject: string, given: Partial<AuditEntry> = {}): AuditEntry {
  return { actor: 'ada', act: 'failure redrive', subject, reason: 'the fix is out', details: { attempts: 3 }, ...given }
}

/** The promises of {@link AuditLog}. */
export function auditLogConformance<Tx>(name: string, open: () => Promise<AuditLogSubject<Tx>>): void {
  test(`${name}: tells what was done to a subject, the latest first`, async () => {
    const { database, audit } = await open()
    await database.transaction((tx) =>
      audit.record(tx, [entry('one'), entry('other'), entry('one', { act: 'failure discard', reason: null })]),
    )

    const found = await audit.of('one', 10)

    expect(found).toEqual([
      { ...entry('one', { act: 'failure discard', reason: null }), at: expect.any(Date) },
      { ...entry('one'), at: expect.any(Date) },
    ])
    expect(await audit.of('one', 1)).toHaveLength(1)
    expect(await audit.of('nothing', 10)).toEqual([])
  })

  test(`${name}: knows of no act whose transaction was rolled back`, async () => {
    const { database, audit } = await open()

    const acting = database.transaction(async (tx) => {
      await audit.record(tx, [entry('one')])
      throw new Error('abort')
    })

    await expect(acting).rejects.toThrow('abort')
    expect(await audit.of('one', 10)).toEqual([])
  })

  test(`${name}: refuses no act for what is told about it`, async () => {
    const { database, audit } = await open()
    const facts = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`fact${index}`, `\0${'x'.repeat(5_000)}`]))

    await database.transaction((tx) => audit.record(tx, [entry('a\0b', { reason: '\ud800', details: facts })]))

    const [kept] = await audit.of('a\0b', 10)
    expect(Object.keys(kept?.details ?? {})).toHaveLength(20)
    expect(kept?.details['fact0']).toHaveLength(2_000)
  })

  test(`${name}: takes no entries at all`, async () => {
    const { database, audit } = await open()

    await expect(database.transaction((tx) => audit.record(tx, []))).resolves.toBeUndefined()
  })
}

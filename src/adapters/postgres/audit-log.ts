import type { Database } from '../../core/database/database.ts'
import type { AuditEntry, AuditLog, AuditRecord } from '../../core/failures/audit.ts'
import { storableText } from './storable-text.ts'

const FACTS_MAX = 20

export class PostgresAuditLog<Tx> implements AuditLog<Tx> {
  readonly #database: Pick<Database<Tx>, 'queryable' | 'outside'>

  constructor(database: Pick<Database<Tx>, 'queryable' | 'outside'>) {
    this.#database = database
  }

  async record(tx: Tx, entries: readonly AuditEntry[]): Promise<void> {
    if (entries.length === 0) return
    await this.#database
      .queryable(tx)
      .query(recordSql, [
        entries.map(({ actor }) => storableText(actor)),
        entries.map(({ act }) => act),
        entries.map(({ subject }) => storableText(subject)),
        entries.map(({ reason }) => (reason === null ? null : storableText(reason))),
        entries.map(({ details }) => storableFacts(details)),
      ])
  }

  async of(subject: string, limit: number): Promise<readonly AuditRecord[]> {
    const { rows } = await this.#database.outside.query(ofSql, [storableText(subject), limit])
    return rows.map((row) => ({
      actor: String(row['actor']),
      act: String(row['act']),
      subject: String(row['subject']),
      reason: row['reason'] === null ? null : String(row['reason']),
      // Written above, from facts of that type.
      details: row['details'] as AuditRecord['details'],
      at: new Date(row['at']),
    }))
  }
}

/** An act must not fail because of what is told about it. */
function storableFacts(details: AuditEntry['details']): string {
  const facts = Object.entries(details).slice(0, FACTS_MAX)
  return JSON.stringify(Object.fromEntries(facts), (_, value: unknown) => (typeof value === 'string' ? storableText(value) : value))
}

const recordSql = `
  insert into trunkline.audit (actor, act, subject, reason, details)
  select actor, act, subject, reason, details::jsonb
    from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
         with ordinality as entry (actor, act, subject, reason, details, place)
   order by place`

const ofSql = `
  select actor, act, subject, reason, details, at from trunkline.audit where subject = $1 order by seq desc limit $2`

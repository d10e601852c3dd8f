import type { Database } from '../../core/database/database.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import type { Incident, TransactionalIncidentLog } from '../../core/incident.ts'
import { storableText } from './storable-text.ts'

export interface IncidentLogParts<Tx> {
  readonly database: Database<Tx>
  readonly diagnostics: BackboneDiagnostics
  readonly service: string
}

export class PostgresIncidentLog<Tx extends object> implements TransactionalIncidentLog<Tx> {
  readonly #parts: IncidentLogParts<Tx>
  /** Recorded, and not known to be committed. */
  readonly #unannounced = new WeakMap<Tx, Incident[]>()

  constructor(parts: IncidentLogParts<Tx>) {
    this.#parts = parts
  }

  async record(incident: Incident): Promise<void> {
    await this.#parts.database.outside.query(insertSql, this.#valuesOf(incident))
    this.#emit(incident)
  }

  async recordNews(incident: Incident): Promise<void> {
    const { rows } = await this.#parts.database.outside.query(insertNewsSql, this.#valuesOf(incident))
    if (rows.length > 0) this.#emit(incident)
  }

  async recordIn(tx: Tx, incident: Incident): Promise<void> {
    await this.#parts.database.queryable(tx).query(insertSql, this.#valuesOf(incident), 'often')
    const recorded = this.#unannounced.get(tx) ?? []
    recorded.push(incident)
    this.#unannounced.set(tx, recorded)
  }

  announce(tx: Tx): void {
    const recorded = this.#unannounced.get(tx) ?? []
    this.#unannounced.delete(tx)
    for (const incident of recorded) this.#emit(incident)
  }

  #emit({ kind, subject, message }: Incident): void {
    this.#parts.diagnostics.emit('incident.recorded', { kind, subject, message })
  }

  #valuesOf({ kind, subject, message, details }: Incident): unknown[] {
    const facts = JSON.stringify(details, (_, value: unknown) => (typeof value === 'string' ? storableText(value) : value))
    return [kind, storableText(subject), this.#parts.service, storableText(message), facts]
  }
}

const insertSql = `
  insert into trunkline.incident (kind, subject, service, message, details)
  values ($1, $2, $3, $4, $5::jsonb)`

const insertNewsSql = `
  insert into trunkline.incident (kind, subject, service, message, details)
  select $1, $2, $3, $4, $5::jsonb
   where $5::jsonb is distinct from (
         select details from trunkline.incident where kind = $1 and subject = $2 order by at desc, seq desc limit 1)
  returning seq`

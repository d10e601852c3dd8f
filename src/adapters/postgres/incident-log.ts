import type { Database, Queryable } from '../../core/database/database.ts'
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
    await this.#insert(this.#parts.database.outside, incident)
    this.#emit(incident)
  }

  async recordIn(tx: Tx, incident: Incident): Promise<void> {
    await this.#insert(this.#parts.database.queryable(tx), incident)
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

  async #insert(queryable: Queryable, incident: Incident): Promise<void> {
    const { kind, subject, message, details } = incident
    const facts = JSON.stringify(details, (_, value: unknown) => (typeof value === 'string' ? storableText(value) : value))
    await queryable.query(insertSql, [kind, storableText(subject), this.#parts.service, storableText(message), facts])
  }
}

const insertSql = `
  insert into trunkline.incident (kind, subject, service, message, details)
  values ($1, $2, $3, $4, $5::jsonb)`

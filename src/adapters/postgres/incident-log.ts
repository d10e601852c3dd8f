import type { Database, Queryable } from '../../core/database/database.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import type { Incident, TransactionalIncidentLog } from '../../core/incident.ts'

export interface IncidentLogParts<Tx> {
  readonly database: Database<Tx>
  readonly diagnostics: BackboneDiagnostics
  readonly service: string
}

export class PostgresIncidentLog<Tx> implements TransactionalIncidentLog<Tx> {
  readonly #parts: IncidentLogParts<Tx>

  constructor(parts: IncidentLogParts<Tx>) {
    this.#parts = parts
  }

  async record(incident: Incident): Promise<void> {
    await this.#insert(this.#parts.database.outside, incident)
  }

  async recordIn(tx: Tx, incident: Incident): Promise<void> {
    await this.#insert(this.#parts.database.queryable(tx), incident)
  }

  async #insert(queryable: Queryable, incident: Incident): Promise<void> {
    const { kind, subject, message, details } = incident
    await queryable.query(insertSql, [kind, subject, this.#parts.service, message, JSON.stringify(details)])
    this.#parts.diagnostics.emit('incident.recorded', { kind, subject, message })
  }
}

const insertSql = `
  insert into trunkline.incident (kind, subject, service, message, details)
  values ($1, $2, $3, $4, $5::jsonb)`

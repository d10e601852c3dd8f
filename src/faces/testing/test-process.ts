import { createPool } from '../../adapters/postgres/database.ts'
import { Backbone } from '../../backbone.ts'
import type { ParsedOptions } from '../../config.ts'
import type { Clock } from '../../foundation/clock.ts'
import type { FaultPlan } from './fault-plan.ts'
import { Wire } from './wire.ts'

const CONNECTIONS = 10
const DELAY_MS_MAX = 20

export interface TestProcessParts {
  readonly clock: Clock
  readonly plan: FaultPlan
  /** The process died. */
  readonly onCrash: () => void
}

/** One life of the service: a backbone, and the connections that die with it. */
export class TestProcess {
  readonly backbone: Backbone
  /** Resolves when it dies. */
  readonly died: Promise<void>
  readonly #parts: TestProcessParts
  readonly #wire: Wire
  readonly #endPool: () => Promise<void>
  readonly #die: () => void

  constructor(parts: TestProcessParts, options: ParsedOptions, databaseUrl: string) {
    this.#parts = parts
    const death = Promise.withResolvers<void>()
    this.died = death.promise
    this.#die = death.resolve
    this.#wire = new Wire({ onStatement: (sql) => this.#onStatement(sql), onCommitSent: () => this.#pass('a commit that was sent') })
    const pool = createPool({
      connection: { connectionString: databaseUrl },
      maxConnections: CONNECTIONS,
      connectTimeoutMs: 5_000,
      answerTimeoutMs: options.idleInTransaction,
      applicationName: `trunkline ${options.service}`,
      stream: this.#wire.stream,
    })
    this.#endPool = () => pool.end()
    this.backbone = new Backbone({ ...options, database: { pool } }, { clock: parts.clock })
    this.backbone.diagnostics.on(({ name, fields }) => this.#pass('type' in fields ? `${name} of ${fields.type}` : name))
  }

  get crashed(): boolean {
    return this.#wire.isCut
  }

  /** Its connections end at once; what it was doing is undone by the server, or was done. */
  crash(): void {
    if (this.crashed) return
    this.#wire.cut()
    this.#die()
    this.#parts.onCrash()
  }

  /** Resolves when nothing of it runs any more. */
  async end(): Promise<void> {
    await this.backbone.stop()
    await this.#endPool()
  }

  #onStatement(sql: string): number {
    const place = `"${sql.replace(/\s+/g, ' ').trim().slice(0, 100)}"`
    this.#pass(place)
    const { plan } = this.#parts
    return plan.strikes('delay', place) ? 1 + Math.floor(plan.draw(`how late ${place}`) * DELAY_MS_MAX) : 0
  }

  #pass(place: string): void {
    if (!this.crashed && this.#parts.plan.strikes('crash', place)) this.crash()
  }
}

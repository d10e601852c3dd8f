import { isTrunklineError } from '../../foundation/errors.ts'
import type { IncidentLog } from '../incident.ts'

/** Sagas and versions; more of them than this is a fault of another kind. */
const TOLD_MAX = 1_000

/** Tells people of sagas that this process cannot run: one incident per version, however often its partition tries again. */
export class MissingDefinitions {
  readonly #incidents: IncidentLog
  readonly #told = new Set<string>()

  constructor(incidents: IncidentLog) {
    this.#incidents = incidents
  }

  /** @throws TransientError the incident could not be recorded; the next call tries again */
  async tell(group: string, error: unknown): Promise<void> {
    if (!isTrunklineError(error, 'SAGA_DEFINITION_MISSING')) return
    const { saga, version, hash } = error.details
    const name = `${String(saga)} ${String(version)}`
    if (this.#told.has(name) || this.#told.size >= TOLD_MAX) return
    await this.#incidents.record({
      kind: 'saga_definition_missing',
      subject: `${group} ${name}`,
      message: `A process of group "${group}" does not have version ${String(version)} of saga "${String(saga)}" as its instances were started with it, so their replies wait, and their partition with them. Register that version beside the new one until its instances have ended; a process that has it goes on by itself.`,
      details: { saga: String(saga), version: String(version), hash: String(hash) },
    })
    this.#told.add(name)
  }
}

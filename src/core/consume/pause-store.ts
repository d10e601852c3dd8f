import type { AuditLog } from '../failures/audit.ts'

/** Who wants it, and why. */
export interface PauseAct {
  readonly actor: string
  readonly reason: string
}

/** What a person wants of a group: a row that every process reads with its heartbeat. */
export interface PauseStore<Tx> {
  /** @returns whether it was not paused before */
  pause(tx: Tx, group: string, act: PauseAct): Promise<boolean>
  /** @returns whether it was paused before */
  resume(tx: Tx, group: string): Promise<boolean>
}

/** Pauses a group, with its record in the audit. @returns whether anything changed; if not, nothing was recorded */
export async function pauseGroup<Tx>(
  parts: { readonly pauses: PauseStore<Tx>; readonly audit: AuditLog<Tx> },
  tx: Tx,
  group: string,
  act: PauseAct,
): Promise<boolean> {
  const changed = await parts.pauses.pause(tx, group, act)
  if (changed) await parts.audit.record(tx, [{ ...act, act: 'group pause', subject: `group ${group}`, details: {} }])
  return changed
}

/** Resumes it. @returns as `pauseGroup` */
export async function resumeGroup<Tx>(
  parts: { readonly pauses: PauseStore<Tx>; readonly audit: AuditLog<Tx> },
  tx: Tx,
  group: string,
  act: PauseAct,
): Promise<boolean> {
  const changed = await parts.pauses.resume(tx, group)
  if (changed) await parts.audit.record(tx, [{ ...act, act: 'group resume', subject: `group ${group}`, details: {} }])
  return changed
}

import type { AuditLog } from '../failures/audit.ts'
import type { PauseAct } from './pause-store.ts'

/** A message name that some build of a group had a handler for, since ever. */
export interface HandledType {
  readonly name: string
  /** Processes that are alive and have a handler for it. */
  readonly processes: number
  /** Messages that wait for a build that has one. */
  readonly waiting: number
}

/**
 * What builds of a group have handlers for. A build without one sets such a message aside instead of passing it over, for
 * ever, since nobody can know whether the other build comes back; only a person says that it will not.
 */
export interface HandledTypes<Tx> {
  /** By name; none for a group that nobody has started. */
  list(group: string): Promise<readonly HandledType[]>

  /** @returns false when it was not among them, or a living process has a handler for it: then nothing was changed */
  forget(tx: Tx, group: string, name: string): Promise<boolean>
}

/**
 * Says that no build will handle a name again: what comes is passed over, with an incident the first time. What waits stays
 * where it is.
 *
 * @returns whether anything changed; if not, nothing was recorded
 */
export async function forgetType<Tx>(
  parts: { readonly types: HandledTypes<Tx>; readonly audit: AuditLog<Tx> },
  tx: Tx,
  { group, name }: { readonly group: string; readonly name: string },
  act: PauseAct,
): Promise<boolean> {
  const forgotten = await parts.types.forget(tx, group, name)
  if (forgotten) await parts.audit.record(tx, [{ ...act, act: 'group forget', subject: `group ${group}`, details: { name } }])
  return forgotten
}

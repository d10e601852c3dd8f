/** A part of the work that can be undone alone. */
export interface Savepoint {
  readonly depth: number
  readonly outer: Savepoint | undefined
  /** Whether its end is awaited. Where it is not, what follows hears that it failed; at last, COMMIT. */
  readonly ends: 'awaited' | 'at once'
  state: 'open' | 'kept' | 'undone'
  /** Whether the server has it: one that was asked for in a lost transaction cannot be gone back to. */
  set: Promise<boolean>
}

export function nameOf({ depth }: Savepoint): string {
  return `trunkline_${depth}`
}

/** Whether it, or one around it, was rolled back. */
export function isUndone(savepoint: Savepoint): boolean {
  return savepoint.state === 'undone' || (savepoint.outer !== undefined && isUndone(savepoint.outer))
}

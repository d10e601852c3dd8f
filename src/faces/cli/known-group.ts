import { type GroupSummary, readGroups } from '../../adapters/postgres/queries/groups.ts'
import type { Queryable } from '../../core/database/database.ts'
import { ConfigurationError } from '../../foundation/errors.ts'
import { nearest } from '../../foundation/options.ts'

/** @throws ConfigurationError `GROUP_UNKNOWN`: suggests the nearest name, or says which there are */
export async function knownGroup(database: Queryable, group: string): Promise<GroupSummary> {
  const groups = await readGroups(database)
  const found = groups.find((one) => one.group === group)
  if (found !== undefined) return found
  const names = groups.map((one) => one.group)
  const near = nearest(group, names)
  const known = near === undefined ? `Known: ${names.join(', ') || 'none'}.` : `Did you mean "${near}"?`
  throw new ConfigurationError('GROUP_UNKNOWN', `There is no group "${group}" in this database. ${known}`, { group })
}

/**
 * Where a filter fits nothing: a name that was mistyped looks as if all were well.
 *
 * @throws ConfigurationError `GROUP_UNKNOWN`
 */
export async function refuseUnknownGroup(database: Queryable, group: string | undefined): Promise<void> {
  if (group !== undefined) await knownGroup(database, group)
}

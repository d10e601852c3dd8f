import type { QueryConfig } from 'pg'
import type { QueryResult } from '../../core/database/database.ts'
import type { StatementAnswer } from './pending-answer.ts'

/** The extended protocol takes one statement at a time, so "select 1; commit" is an error of the server. */
export function statement(text: string, values: readonly unknown[] = [], name?: string): QueryConfig & { queryMode: 'extended' } {
  const query = { text, values: [...values], queryMode: 'extended' as const }
  return name === undefined ? query : { ...query, name }
}

export function toResult(result: StatementAnswer): QueryResult {
  return { rows: result.rows, rowCount: result.rowCount ?? 0 }
}

import type { QueryConfig } from 'pg'
import type { QueryResult } from '../../core/database/database.ts'
import type { StatementAnswer } from './pending-answer.ts'

/** The extended protocol takes one statement at a time, so "select 1; commit" is an error of the server. */
export function statement(text: string, values: readonly unknown[] = [], name?: string): QueryConfig & { queryMode: 'extended' } {
  const queryMode = 'extended'
  return name === undefined ? { text, values: [...values], queryMode } : { text, values: [...values], queryMode, name }
}

export function toResult(result: StatementAnswer): QueryResult {
  return { rows: result.rows, rowCount: result.rowCount ?? 0 }
}

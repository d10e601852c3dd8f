import type { Stack } from '../src/faces/stack/stack.ts'
import type { Row } from './result.ts'

/** What a bench works with: servers of its own, and how much to measure. */
export interface BenchContext {
  readonly stack: Stack
  readonly events: number
  readonly runs: number
  /** Progress; it goes to standard error, so that standard output holds results only. */
  readonly say: (line: string) => void
}

export type Bench = (context: BenchContext) => Promise<readonly Row[]>

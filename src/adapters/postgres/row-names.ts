import type { PendingRow } from '../../core/outbox/outbox-store.ts'
import { binaryArray, INT8, UUID } from './binary-array.ts'
import { SlabRow } from './slab-row.ts'

/** What names rows in a statement: their numbers, and their ids. */
export function rowNames(rows: readonly PendingRow[]): [seqs: Buffer, ids: Buffer] {
  return [binaryArray(INT8, rows, ({ seq }, target, at) => target.writeBigInt64BE(seq, at)), binaryArray(UUID, rows, writeId)]
}

/** Ours has its id as bytes; whoever read a row in another way has it as a text. */
function writeId(row: PendingRow, target: Buffer, at: number): void {
  if (row instanceof SlabRow) row.copyId(target, at)
  else target.write(row.id.replaceAll('-', ''), at, 'hex')
}

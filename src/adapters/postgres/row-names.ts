import type { PendingRow } from '../../core/outbox/outbox-store.ts'
import { binaryArray, INT8, UUID } from './binary-array.ts'
import { SlabRow } from './slab-row.ts'

/** What names rows in a statement: their numbers, and their ids. Ours have both as bytes; whoever read a row in another way has not. */
export function rowNames(rows: readonly PendingRow[]): [seqs: Buffer, ids: Buffer] {
  return [binaryArray(INT8, rows, writeSeq), binaryArray(UUID, rows, writeId)]
}

function writeSeq(row: PendingRow, target: Buffer, at: number): void {
  if (row instanceof SlabRow) row.copySeq(target, at)
  else target.writeBigInt64BE(row.seq, at)
}

function writeId(row: PendingRow, target: Buffer, at: number): void {
  if (row instanceof SlabRow) row.copyId(target, at)
  else target.write(row.id.replaceAll('-', ''), at, 'hex')
}

import type { LogAdmin } from '../broker/log-admin.ts'
import type { ConsumedRecord } from '../broker/log-consumer.ts'
import type { IncidentLog } from '../incident.ts'
import type { HeldPartition } from './effect.ts'

/**
 * Offsets may be missing for good reasons (compaction, transactions); records that retention took are an incident.
 * The cluster is asked once for all gaps of a batch.
 */
export async function explainGaps(
  { admin, incidents }: { readonly admin: LogAdmin; readonly incidents: IncidentLog },
  held: HeldPartition,
  records: readonly ConsumedRecord[],
): Promise<void> {
  const gaps: { from: bigint; found: bigint }[] = []
  let expected = held.next
  for (const { offset } of records) {
    if (offset > expected) gaps.push({ from: expected, found: offset })
    expected = offset + 1n
  }
  if (gaps.length === 0) return
  const { earliest } = await admin.rangeOf(held)
  for (const { from, found } of gaps) {
    if (earliest <= from) continue
    await incidents.record({
      kind: 'position_below_log_start',
      subject: `${held.group} ${held.topic}/${held.partition}`,
      message: `Retention removed offsets ${from} to ${found - 1n} of ${held.topic}/${held.partition} while group "${held.group}" was reading. It goes on at ${found}.`,
      details: { position: String(from), earliest: String(earliest), found: String(found) },
    })
  }
}

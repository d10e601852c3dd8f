import type { PartitionRange } from './log-consumer.ts'

/** What a group has not read of a topic: where it has committed nothing, all that a partition holds. */
export function lagOf(committed: ReadonlyMap<number, bigint>, ranges: readonly Pick<PartitionRange, 'earliest' | 'latest'>[]): bigint {
  let lag = 0n
  ranges.forEach(({ earliest, latest }, partition) => {
    let next = committed.get(partition) ?? earliest
    if (next < earliest) next = earliest // retention took the rest
    if (latest > next) lag += latest - next
  })
  return lag
}

import type { GroupPosition } from '../../adapters/postgres/queries/groups.ts'
import { ConfigurationError, messageOf, TransientError } from '../../foundation/errors.ts'
import { type AddressFlags, withLog } from './operator.ts'
import { say } from './print.ts'

/** How long Kafka may take to say where its partitions end: an operator's question must not hang with the cluster. */
const ANSWER_MS = 10_000
const ASKED_AT_ONCE = 16

export interface PartitionLag extends GroupPosition {
  /** Where the next record goes; `null` where Kafka did not say. */
  readonly end: bigint | null
  /** Records between the group and the end. */
  readonly lag: bigint | null
}

/** Where the log ends, beside where the groups stand. A cluster that does not answer is told of, and the rest is shown. */
export async function lagOf(flags: AddressFlags, positions: readonly GroupPosition[]): Promise<readonly PartitionLag[]> {
  const ends = positions.length === 0 ? new Map<string, bigint>() : await logEnds(flags, positions)
  return positions.map((position) => {
    const end = ends.get(nameOf(position)) ?? null
    return { ...position, end, lag: end === null ? null : behind(position.next, end) }
  })
}

/** A group that stands beyond the end reads a topic that was made anew; it is not behind. */
function behind(next: bigint, end: bigint): bigint {
  return end > next ? end - next : 0n
}

/** The sum for each group; `undefined` where Kafka did not say. */
export async function totalLag(flags: AddressFlags, positions: readonly GroupPosition[]): Promise<ReadonlyMap<string, bigint> | undefined> {
  const lags = await lagOf(flags, positions)
  if (lags.some(({ lag }) => lag === null)) return undefined
  const totals = new Map<string, bigint>()
  for (const { group, lag } of lags) totals.set(group, (totals.get(group) ?? 0n) + (lag ?? 0n))
  return totals
}

async function logEnds(flags: AddressFlags, positions: readonly GroupPosition[]): Promise<ReadonlyMap<string, bigint>> {
  const ends = new Map<string, bigint>()
  try {
    await withLog(flags, async ({ admin }) => {
      const deadline = AbortSignal.timeout(ANSWER_MS)
      const asked = [...new Map(positions.map((position) => [nameOf(position), position])).values()]
      for (let from = 0; from < asked.length; from += ASKED_AT_ONCE) {
        const some = asked.slice(from, from + ASKED_AT_ONCE).map(async (position) => {
          ends.set(nameOf(position), (await admin.rangeOf(position)).latest)
        })
        await unlessLate(Promise.all(some), deadline)
      }
    })
  } catch (error) {
    if (!(error instanceof TransientError || error instanceof ConfigurationError)) throw error
    say(`The lag is not known: ${messageOf(error)}`)
  }
  return ends
}

function unlessLate(work: Promise<unknown>, deadline: AbortSignal): Promise<unknown> {
  const late = Promise.withResolvers<never>()
  const onAbort = (): void => late.reject(new TransientError('KAFKA_SILENT', `Kafka did not answer within ${ANSWER_MS / 1_000} s.`))
  deadline.addEventListener('abort', onAbort)
  return Promise.race([work, late.promise]).finally(() => deadline.removeEventListener('abort', onAbort))
}

function nameOf({ topic, partition }: GroupPosition): string {
  return `${topic}/${partition}`
}

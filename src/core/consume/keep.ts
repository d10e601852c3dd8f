import type { Incident } from '../incident.ts'
import { applyEffect, type Claimed, type EffectOf, type EffectParts, type HeldPartition, placeOf } from './effect.ts'
import type { ParkedMessage } from './parking-store.ts'
import { reactionTo } from './retry.ts'

/** Keeps a message in the transaction at hand, with the incident that tells of it. */
export type Keep<Tx> = (tx: Tx, message: ParkedMessage, incident?: Incident) => Promise<void>

type Work<Tx, Result> = (tx: Tx, claimed: Claimed, keep: Keep<Tx>) => Promise<Result>

/** How much of a message is kept. */
interface Form {
  readonly whole: boolean
  readonly of: (message: ParkedMessage) => ParkedMessage
}

/** The most first. Key, value and coordinates are never given up. */
const forms: readonly Form[] = [
  { whole: true, of: (message) => message },
  { whole: false, of: (message) => ({ ...message, reason: withoutText(message) }) },
  {
    whole: false,
    of: (message) => ({ ...message, reason: withoutText(message), record: { ...message.record, headers: [], timestampMs: 0 } }),
  },
]

function withoutText({ reason }: ParkedMessage): ParkedMessage['reason'] {
  return { ...reason, text: '' }
}

/**
 * One effect transaction in which the message is applied, or kept by the function that `work` gets.
 *
 * What a message looks like must never decide whether it can be kept: its partition would stand still for ever. So
 * whatever the database refuses for a reason that nobody foresaw is kept again, with less of it, and an incident says so.
 *
 * @throws as {@link applyEffect}, and whatever `work` threw
 */
export function applyOrKeep<Tx extends object, Result>(
  parts: EffectParts<Tx>,
  held: HeldPartition,
  effect: EffectOf,
  work: Work<Tx, Result>,
): Promise<Result | undefined> {
  return applyInForm(parts, held, effect, work, forms)
}

async function applyInForm<Tx extends object, Result>(
  parts: EffectParts<Tx>,
  held: HeldPartition,
  effect: EffectOf,
  work: Work<Tx, Result>,
  [form, ...lesser]: readonly Form[],
): Promise<Result | undefined> {
  let refused = false
  const untold: Incident[] = []
  const keep: Keep<Tx> = async (tx, message, incident) => {
    try {
      await parts.parking.park(tx, [form?.of(message) ?? message])
      if (form?.whole === false) untold.push(...(incident === undefined ? [] : [incident]), keptInPart(held, effect))
      else if (incident !== undefined) await parts.incidents.recordIn(tx, incident)
    } catch (error) {
      refused = isRefusal(error)
      throw error
    }
  }
  try {
    const result = await applyEffect(parts, held, effect, (tx, claimed) => work(tx, claimed, keep))
    // After the commit, because it may be the incident that was refused; the kept row is there in any case.
    for (const incident of untold) await parts.incidents.record(incident).catch(() => undefined)
    return result
  } catch (error) {
    if (!refused || lesser.length === 0) throw error
    return await applyInForm(parts, held, effect, work, lesser)
  }
}

/** Neither the infrastructure nor another transaction: the same data would be refused again. */
function isRefusal(error: unknown): boolean {
  return ['failed', 'permanent'].includes(reactionTo(error, true))
}

function keptInPart(held: HeldPartition, { record }: EffectOf): Incident {
  return {
    kind: 'kept_in_part',
    subject: `${held.group} ${held.topic}/${held.partition}`,
    message: `The record at ${held.topic}/${held.partition}/${record.offset} could not be kept whole by group "${held.group}": its reason, or its headers and time too, are missing in trunkline.parked_message. The record itself is in the topic as long as retention lets it be.`,
    details: { ...placeOf(held), offset: String(record.offset) },
  }
}

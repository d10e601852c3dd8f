import type { Replacements } from '../assembly.ts'
import { commitBeforeEffect } from './commit-before-effect.ts'
import { cursorBySequence } from './cursor-by-sequence.ts'
import { markBeforeProduce } from './mark-before-produce.ts'
import { noFence } from './no-fence.ts'
import { noInboxKey } from './no-inbox-key.ts'
import { slotByClock } from './slot-by-clock.ts'

/**
 * Backbones with one rule missing each.
 *
 * The judges must catch every one of them: a judge that cannot has proved nothing about the real one.
 */
export const variants = {
  'mark-before-produce': { outboxes: markBeforeProduce },
  'cursor-by-sequence': { outboxes: cursorBySequence },
  'commit-before-effect': { positions: commitBeforeEffect },
  'no-inbox-key': { inbox: noInboxKey },
  'slot-by-clock': { inbox: slotByClock },
  'no-fence': { positions: noFence },
} as const satisfies Record<string, Replacements>

export type Variant = keyof typeof variants

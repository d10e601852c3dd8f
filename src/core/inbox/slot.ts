const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i

/** Of a message that says no time which every redelivery of it would say again. */
export const NO_SLOT = 0

/**
 * Where an inbox keeps a message: the millisecond in which its id was made, since 1970, if the id is a UUIDv7.
 *
 * It must come from what is the same in every redelivery, never from the clock: a message that is sent again
 * has to meet its row. An envelope's `time` is not the same where a foreign producer writes it anew with each try.
 */
export function slotOf(messageId: string): number {
  if (!UUID_V7.test(messageId)) return NO_SLOT
  return Number.parseInt(messageId.slice(0, 8) + messageId.slice(9, 13), 16)
}

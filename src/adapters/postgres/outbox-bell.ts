/** What owners and stand-bys listen to. */
export const OUTBOX_CHANNEL = 'trunkline_outbox'
/** Said when an owner leaves in order. Anything that is not known means: look, there may be rows. */
export const VACANT = 'vacant'
/** Before a token that a listener says to itself. */
export const ECHO = 'echo '

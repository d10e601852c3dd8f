/** Kafka's number for a topic among what can be configured. */
export const TOPIC = 2 as const
/** Where a setting comes from: the topic itself. */
export const FROM_TOPIC = 1
/** The largest batch that a topic takes; where the topic says nothing the brokers' `message.max.bytes` is told under this name. */
export const BATCH_BYTES_MAX = 'max.message.bytes'

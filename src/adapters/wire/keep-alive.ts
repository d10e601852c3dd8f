/** A connection on which nothing was said for so long is probed by the kernel: a network that drops everything says nothing. */
export const PROBED_AFTER_MS = 10_000

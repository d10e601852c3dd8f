const LEAST_BYTES = 512 * 1024
const MOST_BYTES = 4 * 1024 * 1024
/** Stops of fetching after which less is tried, where the reader never had to wait in between. */
const CALM_STOPS = 16

/**
 * How much of one partition is fetched ahead: as much as keeps its reader from waiting, and at first little.
 *
 * Behind handlers that take 50 ms, half a megabyte is a minute's work, and four only fill the memory; ten thousand
 * messages a second are through with half a megabyte before the next reply is there.
 */
export class PrefetchLimit {
  #bytes = LEAST_BYTES
  /** Fetching was stopped, and the reader has not waited since. */
  #hasStopped = false
  #calmStops = 0

  get bytes(): number {
    return this.#bytes
  }

  /** What is here is enough: fetching stops. */
  stopped(): void {
    if (this.#hasStopped) this.#calmStops++
    this.#hasStopped = true
    if (this.#calmStops < CALM_STOPS) return
    this.#calmStops = 0
    this.#bytes = Math.max(LEAST_BYTES, this.#bytes / 2)
  }

  /** The reader finds nothing. Where fetching had been stopped, that was too early. */
  ranDry(): void {
    if (this.#hasStopped) this.#bytes = Math.min(MOST_BYTES, this.#bytes * 2)
    this.#hasStopped = false
    this.#calmStops = 0
  }
}

const LATELY_MS = 60_000
/** More that differ are each worth a line. */
const REMEMBERED_MAX = 1_000

/** What was said in the last minute: while Kafka is away, each partition would say the same every two seconds. */
export class SaidLately {
  readonly #saidAtMs = new Map<string, number>()

  /** @returns whether the same was said less than a minute ago; if not, it is said now */
  has(line: string, nowMs: number): boolean {
    const saidAtMs = this.#saidAtMs.get(line)
    if (saidAtMs !== undefined && nowMs - saidAtMs < LATELY_MS) return true
    if (this.#saidAtMs.size >= REMEMBERED_MAX) this.#saidAtMs.clear()
    this.#saidAtMs.set(line, nowMs)
    return false
  }
}

/** Others are read anew each time. */
const BYTES_MAX = 256
const TEXTS_MAX = 1_000

/** Texts that come again and again, such as topics: one object for all that are equal, and none at all for what came just before. */
export class KnownTexts {
  readonly #texts = new Map<string, string>()
  readonly #lastBytes = Buffer.alloc(BYTES_MAX)
  #lastLength = 0
  #last = ''

  read(bytes: Buffer, start: number, end: number): string {
    if (this.#isLast(bytes, start, end)) return this.#last
    const text = this.#known(bytes.toString('utf8', start, end))
    if (end - start > BYTES_MAX) return text
    this.#lastLength = bytes.copy(this.#lastBytes, 0, start, end)
    this.#last = text
    return text
  }

  #isLast(bytes: Buffer, start: number, end: number): boolean {
    if (end - start !== this.#lastLength) return false
    for (let at = start; at < end; at++) if (bytes[at] !== this.#lastBytes[at - start]) return false
    return true
  }

  #known(text: string): string {
    const found = this.#texts.get(text)
    if (found !== undefined) return found
    if (this.#texts.size >= TEXTS_MAX) this.#texts.clear()
    this.#texts.set(text, text)
    return text
  }
}

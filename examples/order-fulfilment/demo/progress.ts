/** A bar on a terminal, a line for every quarter elsewhere. */
export class Progress {
  readonly #what: string
  readonly #total: number
  #quarter = 0

  constructor(what: string, total: number) {
    this.#what = what
    this.#total = total
  }

  update(done: number): void {
    const share = Math.min(1, done / this.#total)
    if (process.stderr.isTTY) {
      const width = Math.round(share * 30)
      process.stderr.write(`\r${this.#what} ${'█'.repeat(width)}${'░'.repeat(30 - width)} ${done}/${this.#total}`)
      if (share === 1) process.stderr.write('\n')
      return
    }
    const quarter = Math.floor(share * 4)
    if (quarter > this.#quarter) process.stderr.write(`${this.#what}: ${done}/${this.#total}\n`)
    this.#quarter = quarter
  }
}

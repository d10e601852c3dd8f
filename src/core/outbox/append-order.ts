/**
 * The order of appends in transactions whose COMMIT we do not see.
 *
 * Where an earlier one still waits, for its schema's id or for the outbox to be measured, the next one waits behind it,
 * and fails with it: messages of a key keep their order, and none goes without those before it.
 */
export class AppendOrder<Tx extends object> {
  /** By transaction: the last one that waits. */
  readonly #waiting = new WeakMap<Tx, Promise<string>>()

  /** @param waits whether it waits for something of its own before it is sent; if not, and nothing is before it, it is sent before this returns */
  run(tx: Tx, waits: boolean, append: () => Promise<string>): Promise<string> {
    const before = this.#waiting.get(tx)
    const appended = before === undefined ? append() : before.then(append)
    if (!waits && before === undefined) return appended
    this.#waiting.set(tx, appended)
    const over = (): void => {
      if (this.#waiting.get(tx) === appended) this.#waiting.delete(tx)
    }
    appended.then(over, over)
    return appended
  }
}

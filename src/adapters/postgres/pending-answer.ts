import type { ClientBase, QueryConfig } from 'pg'

export interface StatementAnswer {
  // biome-ignore lint/suspicious/noExplicitAny: rows have the shape of the user's own SQL, which TypeScript cannot see
  readonly rows: readonly Record<string, any>[]
  /** The server's own count of rows that it touched; `null` where it tells none. */
  readonly rowCount: number | null
  /** What the server says it did: COMMIT may be answered with ROLLBACK. */
  readonly command: string
}

/** They answer with rows only if they say so, and then they say it each time. */
const writes = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])

export interface ColumnDescription {
  readonly name: string
  readonly dataTypeID: number
}

/** Makes what the driver would make of the answer to one statement. */
export class PendingAnswer implements StatementAnswer {
  readonly text: string
  readonly name: string | undefined
  readonly rows: Record<string, unknown>[] = []
  rowCount: number | null = null
  command = ''
  readonly reject: (error: unknown) => void
  readonly #resolve: (answer: StatementAnswer) => void
  #columns: readonly string[] = []
  #parsers: readonly ((text: string) => unknown)[] = []
  #noValues: Record<string, unknown> | undefined
  #unreadable: { readonly error: unknown } | undefined

  constructor({ text, name }: QueryConfig, resolve: (answer: StatementAnswer) => void, reject: (error: unknown) => void) {
    this.text = text
    this.name = name
    this.reject = reject
    this.#resolve = resolve
  }

  /** Whether it has been answered, and has no columns; asked for them again, the server would say so again. */
  get hasNoColumns(): boolean {
    return this.#noValues === undefined && writes.has(this.command)
  }

  /** @param client knows how its pool wants types to be read */
  describe(client: ClientBase, columns: readonly ColumnDescription[]): void {
    this.#columns = columns.map(({ name }) => name)
    this.#parsers = columns.map(({ dataTypeID }) => client.getTypeParser(dataTypeID, 'text'))
    // A column's name can be that of something every object has.
    const empty: Record<string, unknown> = Object.create(null)
    for (const name of this.#columns) empty[name] = null
    this.#noValues = empty
  }

  addRow(texts: readonly (string | null)[]): void {
    if (this.#unreadable !== undefined) return
    const row = { ...this.#noValues }
    try {
      for (const [index, text] of texts.entries()) {
        // Of two columns with one name the last one counts, also where it is null.
        row[this.#columns[index] ?? ''] = text === null ? null : this.#parsers[index]?.(text)
      }
      this.rows.push(row)
    } catch (error) {
      this.#unreadable = { error }
    }
  }

  /** @param tag as `INSERT 0 5`, `UPDATE 3`, `COMMIT` */
  complete(tag: string): void {
    const end = tag.indexOf(' ')
    this.command = end < 0 ? tag : tag.slice(0, end)
    const count = end < 0 ? Number.NaN : Number(tag.slice(tag.lastIndexOf(' ') + 1))
    if (Number.isInteger(count)) this.rowCount = count
  }

  settle(): void {
    if (this.#unreadable === undefined) this.#resolve(this)
    else this.reject(this.#unreadable.error)
  }
}

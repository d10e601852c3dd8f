export interface Column<Row> {
  readonly name: string
  readonly of: (row: Row) => string | number | bigint | null
  /** Numbers stand at the right, so that they can be compared by eye. */
  readonly right?: boolean
}

/** What a terminal may be made to do by text from a topic: move its cursor, change its title, turn its lines round. */
const controls = /[\p{Cc}\p{Cf}]/gu

/** Data, on standard output: one document for programs. A `bigint` becomes a text, because JSON's numbers lose digits. */
export function printJson(document: unknown): void {
  console.log(JSON.stringify(document, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)))
}

/** Data, on standard output, for people: aligned columns under their names. Nothing when there are no rows. */
export function printTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): void {
  if (rows.length === 0) return
  const cells = [columns.map((column) => column.name), ...rows.map((row) => columns.map((column) => cellOf(column.of(row))))]
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => line[index]?.length ?? 0)))
  for (const line of cells)
    console.log(
      line
        .map((cell, index) => aligned(cell, widths[index] ?? 0, columns[index]?.right))
        .join('  ')
        .trimEnd(),
    )
}

/** For a terminal: what would steer it is a dot. */
export function cleaned(text: string): string {
  return text.replace(controls, '·')
}

/** Progress and remarks, on standard error: what is piped elsewhere stays data. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

/** `3 messages`, `1 message`. */
export function count(number: number | bigint, noun: string): string {
  return `${number} ${noun}${Number(number) === 1 ? '' : 's'}`
}

/** `4 s`, `12 min`, `3 h`, `9 d`: as exact as somebody needs who decides whether it is old. */
export function age(ms: number | null): string {
  if (ms === null) return '-'
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1_000],
  ] as const
  const [unit, size] = units.find(([, length]) => ms >= 2 * length) ?? ['ms', 1]
  return `${Math.round(ms / size)} ${unit}`
}

function cellOf(value: string | number | bigint | null): string {
  return value === null ? '-' : cleaned(String(value))
}

function aligned(cell: string, width: number, right = false): string {
  return right ? cell.padStart(width) : cell.padEnd(width)
}

/** One line of a bench's result: a figure, what it stands beside, and whether its bar holds. */
export interface Row {
  readonly bench: string
  readonly name: string
  readonly figure: number
  readonly unit: string
  /** The same thing measured without us, in the same run; `null` where the bar is a limit. */
  readonly baseline: number | null
  readonly ratio: number | null
  /** `>= 60000`, `<= 8`: of the figure, or of the ratio where it says so. */
  readonly bar: string
  readonly holds: boolean
}

export interface Measurement {
  readonly bench: string
  readonly name: string
  readonly unit: string
  readonly figure: number
  readonly baseline?: number
  readonly atLeast?: number
  readonly atMost?: number
}

export function toRow({ bench, name, unit, figure, baseline, atLeast, atMost }: Measurement): Row {
  const bars = [...(atLeast === undefined ? [] : [`>= ${atLeast}`]), ...(atMost === undefined ? [] : [`<= ${atMost}`])]
  return {
    bench,
    name,
    figure: rounded(figure),
    unit,
    baseline: baseline === undefined ? null : rounded(baseline),
    ratio: baseline === undefined ? null : rounded(figure / baseline),
    bar: bars.join(' and '),
    holds: figure >= (atLeast ?? Number.NEGATIVE_INFINITY) && figure <= (atMost ?? Number.POSITIVE_INFINITY),
  }
}

/** @throws RangeError there is nothing to take it of */
export function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)]
  const lower = sorted[Math.floor((sorted.length - 1) / 2)]
  if (upper === undefined || lower === undefined) throw new RangeError('A median needs at least one figure.')
  return (lower + upper) / 2
}

const columns = ['bench', 'name', 'figure', 'unit', 'baseline', 'ratio', 'bar', 'holds'] as const

export function toTable(rows: readonly Row[]): string {
  const cells = [[...columns], ...rows.map((row) => columns.map((column) => shown(row[column])))]
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => line[index]?.length ?? 0)))
  return cells
    .map((line) =>
      line
        .map((cell, index) => cell.padEnd(widths[index] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function shown(value: Row[(typeof columns)[number]]): string {
  if (value === null) return '-'
  if (typeof value === 'boolean') return value ? 'yes' : 'NO'
  return String(value)
}

/** Four figures are more than a bench knows. */
function rounded(figure: number): number {
  return Number(figure.toPrecision(4))
}

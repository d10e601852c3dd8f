import { z } from 'zod'

/** A span of time as people write it: `'250ms'`, `'5s'`, `'1m'`, `'2h'`, `'7d'`. */
export type Duration = `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** @returns milliseconds; `undefined` when the text is not a duration */
export function durationMs(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text)
  if (!match) return undefined
  const unit = match[2] as keyof typeof unitMs
  return Math.round(Number(match[1]) * unitMs[unit])
}

/** A zod schema that takes a {@link Duration} and gives milliseconds, within stated bounds. */
export function duration(bounds: { min?: Duration; max?: Duration } = {}) {
  const min = bounds.min === undefined ? 0 : (durationMs(bounds.min) ?? 0)
  const max = bounds.max === undefined ? Number.MAX_SAFE_INTEGER : (durationMs(bounds.max) ?? Number.MAX_SAFE_INTEGER)
  return z
    .custom<Duration>((value) => typeof value === 'string' && durationMs(value) !== undefined, {
      error: "expected a duration such as '250ms', '5s', '1m', '2h' or '7d'",
    })
    .transform((value) => durationMs(value) ?? 0)
    .refine((ms) => ms >= min && ms <= max, {
      error: `expected a duration from ${bounds.min ?? '0ms'} to ${bounds.max ?? 'any'}`,
    })
}

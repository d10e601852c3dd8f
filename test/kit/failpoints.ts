import { writeSync } from 'node:fs'
import { z } from 'zod'
import type { BackboneDiagnostics, DiagnosticCatalogue } from '../../src/core/diagnostics.ts'

export const failpointSchema = z.strictObject({
  /** The diagnostic at which the process ends or freezes. */
  at: z.string(),
  /** At which occurrence, from 1. */
  nth: z.int().min(1).default(1),
  act: z.enum(['SIGKILL', 'SIGSTOP', 'SIGTERM']),
  /** Only records whose field of that name has that text count. */
  where: z.record(z.string(), z.string()).default({}),
})
export type Failpoint = z.input<typeof failpointSchema>

/** Every name that a failpoint may have; the compiler checks that they exist. */
export type FailpointName = keyof DiagnosticCatalogue

/**
 * Lets this process kill or freeze itself inside a diagnostic: listeners run synchronously at the place that reports.
 *
 * The line `failpoint <name> <n>` leaves before the signal, so that whoever started the process knows it fired.
 */
export function installFailpoints(diagnostics: BackboneDiagnostics, failpoints: readonly Failpoint[]): void {
  const plans = failpoints.map((failpoint) => ({ ...failpointSchema.parse(failpoint), hits: 0 }))
  diagnostics.on(({ name, fields }) => {
    for (const plan of plans) {
      if (plan.at !== name || !fits(fields, plan.where)) continue
      plan.hits++
      if (plan.hits !== plan.nth) continue
      writeSync(1, `failpoint ${name} ${plan.nth}\n`)
      process.kill(process.pid, plan.act)
    }
  })
}

function fits(fields: object, where: Readonly<Record<string, string>>): boolean {
  const known = new Map(Object.entries(fields))
  return Object.entries(where).every(([name, text]) => String(known.get(name)) === text)
}

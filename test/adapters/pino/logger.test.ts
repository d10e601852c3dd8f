import { expect, test } from 'vitest'
import { logDiagnostics } from '../../../src/adapters/pino/logger.ts'
import type { BackboneDiagnostics, DiagnosticCatalogue } from '../../../src/core/diagnostics.ts'
import type { Logger } from '../../../src/core/logger.ts'
import { Diagnostics } from '../../../src/foundation/diagnostics.ts'

function logging(nowMs?: () => number) {
  const lines: string[] = []
  const write = (level: string) => (_: object, message: string) => void lines.push(`${level} ${message}`)
  const logger: Logger = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error'), child: () => logger }
  const diagnostics: BackboneDiagnostics = new Diagnostics<DiagnosticCatalogue>()
  logDiagnostics(diagnostics, logger, nowMs)
  return { diagnostics, lines }
}

test('a warning that says the same as one of the last minute is a debug line, each other one is a warning', () => {
  let nowMs = 0
  const { diagnostics, lines } = logging(() => nowMs)
  const refused = (partition: number): void =>
    diagnostics.emit('relay.refused', { topic: 't', partition, scope: 'cluster', reason: 'No Kafka broker answers.' })

  for (const partition of [0, 0, 1]) refused(partition)
  nowMs = 59_000
  refused(0)
  nowMs = 60_000
  refused(0)

  expect(lines.map((line) => line.split(' ')[0])).toEqual(['warn', 'debug', 'warn', 'debug', 'warn'])
})

test('whatever keeps a saga from going on is a warning, not a debug line', () => {
  const { diagnostics, lines } = logging()

  diagnostics.emit('saga.timer_failed', { saga: 's', id: 'i', reason: 'SAGA_STEP_FAILED' })
  diagnostics.emit('saga.timers_interrupted', { reason: 'DATABASE_UNAVAILABLE' })
  diagnostics.emit('saga.timers', { due: 1 })

  expect(lines).toEqual(['warn saga.timer_failed', 'warn saga.timers_interrupted', 'debug saga.timers'])
})

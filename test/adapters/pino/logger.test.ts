import { expect, test } from 'vitest'
import { logDiagnostics } from '../../../src/adapters/pino/logger.ts'
import type { BackboneDiagnostics, DiagnosticCatalogue } from '../../../src/core/diagnostics.ts'
import type { Logger } from '../../../src/core/logger.ts'
import { Diagnostics } from '../../../src/foundation/diagnostics.ts'

test('whatever keeps a saga from going on is a warning, not a debug line', () => {
  const lines: string[] = []
  const write = (level: string) => (_: object, message: string) => void lines.push(`${level} ${message}`)
  const logger: Logger = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error'), child: () => logger }
  const diagnostics: BackboneDiagnostics = new Diagnostics<DiagnosticCatalogue>()
  logDiagnostics(diagnostics, logger)

  diagnostics.emit('saga.timer_failed', { saga: 's', id: 'i', reason: 'SAGA_STEP_FAILED' })
  diagnostics.emit('saga.timers_interrupted', { reason: 'DATABASE_UNAVAILABLE' })
  diagnostics.emit('saga.timers', { due: 1 })

  expect(lines).toEqual(['warn saga.timer_failed', 'warn saga.timers_interrupted', 'debug saga.timers'])
})

import { pino } from 'pino'
import type { BackboneDiagnostics, DiagnosticCatalogue } from '../../core/diagnostics.ts'
import type { Logger } from '../../core/logger.ts'
import { SaidLately } from './said-lately.ts'

/** A pino logger on standard output, one JSON line a record. */
export function createLogger(service: string, level: 'debug' | 'info' | 'warn' | 'error' | 'silent'): Logger {
  return pino({ level, base: { service }, redact: ['password', 'connectionString', '*.password', '*.connectionString'] })
}

type Level = 'debug' | 'info' | 'warn' | 'error'

/** What a person should see; every other diagnostic is a debug line. */
const levels: Partial<Record<keyof DiagnosticCatalogue, Level>> = {
  'transaction.outcome_unknown': 'warn',
  'relay.term_started': 'info',
  'relay.term_ended': 'info',
  'relay.unknown': 'warn',
  'relay.refused': 'warn',
  'relay.database_lost': 'warn',
  'relay.misconfigured': 'error',
  'relay.held': 'warn',
  'relay.released': 'info',
  'relay.overlooked': 'error',
  'relay.polling_only': 'warn',
  'relay.no_room': 'warn',
  'kafka.unheard': 'warn',
  'producer.replaced': 'warn',
  'consumer.assigned': 'info',
  'consumer.revoked': 'info',
  'consumer.fenced': 'warn',
  'consumer.interrupted': 'warn',
  'consumer.restarted': 'warn',
  'delivery.failed': 'warn',
  'delivery.parked': 'warn',
  'delivery.unreadable': 'warn',
  'inbox.untended': 'warn',
  'saga.ignored': 'info',
  'saga.timer_failed': 'warn',
  'saga.timers_interrupted': 'warn',
  'registry.unanswered': 'warn',
  'incident.recorded': 'error',
  'part.failed': 'error',
  'service.started': 'info',
  'service.stopped': 'info',
}

/**
 * Writes diagnostics as log lines: the name is the message, the facts are its fields. A warning that says the same as one
 * of the last minute is a debug line.
 *
 * @returns stops doing so
 */
export function logDiagnostics(diagnostics: BackboneDiagnostics, logger: Logger, nowMs = (): number => performance.now()): () => void {
  const said = new SaidLately()
  return diagnostics.on(({ name, fields }) => {
    const usual = levels[name] ?? 'debug'
    // Most are debug lines that nobody wants: they cost no more than this question.
    if (logger.isLevelEnabled?.(usual) === false) return
    const facts = printable(fields)
    if (usual === 'warn' && said.has(`${name} ${JSON.stringify(facts)}`, nowMs())) logger.debug(facts, name)
    else logger[usual](facts, name)
  })
}

/** JSON knows no bigint, and an Error would show as `{}`. */
function printable(fields: object): object {
  const entries = Object.entries(fields).map(([name, value]) => {
    if (typeof value === 'bigint') return [name, String(value)]
    return [name, value instanceof Error ? value.message : value]
  })
  return Object.fromEntries(entries)
}

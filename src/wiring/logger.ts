import { createLogger, logDiagnostics } from '../adapters/pino/logger.ts'
import type { ParsedOptions } from '../config.ts'
import type { BackboneDiagnostics } from '../core/diagnostics.ts'
import type { Logger } from '../core/logger.ts'

/** The user's logger, one of ours, or none; what the backbone reports about itself goes there too. */
export function buildLogger(options: ParsedOptions, diagnostics: BackboneDiagnostics): Logger {
  if (options.logger === false) return silentLogger
  const logger = options.logger ?? createLogger(options.service, options.logLevel)
  logDiagnostics(diagnostics, logger)
  return logger
}

export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
  isLevelEnabled: () => false,
}

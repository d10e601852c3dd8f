import { confirm, isCancel, text } from '@clack/prompts'
import type { Command } from 'commander'
import { ConfigurationError, TransientError } from '../../foundation/errors.ts'

/** Of commands that change something an operator cannot take back by the same command. */
export interface ActFlags {
  readonly dryRun?: boolean
  readonly yes?: boolean
  readonly reason?: string
}

const REASON_CHARACTERS_MAX = 500

/** Adds the flags of such a command. */
export function takesConsent(command: Command): Command {
  return command
    .option('--dry-run', 'change nothing; say what would be done')
    .option('-y, --yes', 'do not ask')
    .option('--reason <text>', 'why, for the audit; asked for on a terminal')
}

/**
 * Asks whether `what` shall be done, and why. Called after the operator was shown what it is about.
 *
 * @param what with a capital, without an end: `Discard 3 messages of topic orders`
 * @returns the reason for the audit; `undefined` when nothing is to be done: a dry run, or a "no"
 * @throws ConfigurationError `CONSENT_NEEDED`, `REASON_NEEDED`, `REASON_TOO_LONG`: there is no terminal to ask on
 * @throws TransientError `INTERRUPTED`: Ctrl-C at the question
 */
export async function consent(flags: ActFlags, what: string): Promise<string | undefined> {
  const { dryRun = false, yes = false } = flags
  if (dryRun) return refusal(`${what}: not done, this is a dry run.`)
  const asks = process.stdin.isTTY === true && process.stderr.isTTY === true
  if (!yes && !asks) throw consentNeeded(what)
  const reason = flags.reason?.trim() || (asks && !yes ? await askReason(what) : undefined)
  if (reason === undefined) throw reasonNeeded()
  if (reason.length > REASON_CHARACTERS_MAX) throw reasonTooLong(reason.length)
  if (yes) return reason
  const answer = await confirm({ message: `${what}?`, initialValue: false, output: process.stderr })
  if (isCancel(answer)) throw interrupted()
  return answer ? reason : refusal('Nothing was changed.')
}

async function askReason(what: string): Promise<string> {
  const validate = (value: string | undefined): string | undefined => (value?.trim() ? undefined : 'Whoever reads the audit will ask.')
  const answer = await text({ message: `${what}: why?`, validate, output: process.stderr })
  if (isCancel(answer)) throw interrupted()
  return answer.trim()
}

function interrupted(): TransientError {
  return new TransientError('INTERRUPTED', 'Interrupted: nothing was changed.', { signal: 'SIGINT' })
}

function refusal(line: string): undefined {
  process.stderr.write(`${line}\n`)
}

function consentNeeded(what: string): ConfigurationError {
  return new ConfigurationError(
    'CONSENT_NEEDED',
    `${what}: there is no terminal to ask on, so nothing was changed. Pass --yes and --reason to do it, or --dry-run to see what it would do.`,
  )
}

function reasonNeeded(): ConfigurationError {
  return new ConfigurationError(
    'REASON_NEEDED',
    'Every act is kept in the audit with its reason, so nothing was changed. Pass --reason "…" with --yes.',
  )
}

function reasonTooLong(characters: number): ConfigurationError {
  return new ConfigurationError(
    'REASON_TOO_LONG',
    `The reason has ${characters} characters, the audit keeps at most ${REASON_CHARACTERS_MAX}. Nothing was changed.`,
  )
}

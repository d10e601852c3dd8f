import { ContractError, isTrunklineError } from '../../foundation/errors.ts'
import { conform } from '../contract/conform.ts'
import type { ContractDefinition, Message } from '../contract/contract.ts'

/**
 * Holds a message that was read to the rules by which one would be made today.
 *
 * @throws ContractError `RULE_BROKEN`: names the path; no retry helps
 */
export function checkRules(message: Message, definition: ContractDefinition): void {
  try {
    conform(definition, message.data)
  } catch (error) {
    if (!isTrunklineError(error, 'CONTRACT_VIOLATED')) throw error
    throw new ContractError(
      'RULE_BROKEN',
      `A ${message.type} breaks a rule of its fields, for which its subscription asks (checkRules). ${error.message}`,
      { ...error.details, type: message.type },
      error,
    )
  }
}

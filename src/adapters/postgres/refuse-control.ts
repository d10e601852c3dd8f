import { PermanentError } from '../../foundation/errors.ts'

/** Statements that would end, split or reconfigure the transaction behind our back. */
const control =
  /^(?:\s|--[^\n]*\n|\/\*[\s\S]*?\*\/|;)*(begin|start\s+transaction|commit|end|rollback|abort|savepoint|release|prepare\s+transaction|set|reset|discard)\b/i

/** It would wait for data that nobody sends, and take the next statements for them. */
const copyIn = /^(?:\s|--[^\n]*\n|\/\*[\s\S]*?\*\/|;)*copy\b[\s\S]*\bfrom\s+stdin\b/i

/** @returns why a statement of the user's is not sent; `undefined` for one that may be */
export function refuseControl(text: string): PermanentError | undefined {
  if (copyIn.test(text)) return copyRefused()
  const refused = control.exec(text)
  if (refused === null) return undefined
  return new PermanentError(
    'TRANSACTION_CONTROL_REFUSED',
    `"${(refused[1] ?? '').toLowerCase()}" cannot be sent through a Trunkline transaction: its end belongs to the backbone. ` +
      'Throw an error to roll back, return to commit, and use tx.savepoint(fn) for a part that may fail.',
  )
}

function copyRefused(): PermanentError {
  return new PermanentError(
    'COPY_REFUSED',
    '"copy … from stdin" cannot be sent through a Trunkline transaction, which has no stream to read from. Insert the rows with one statement: insert … select from unnest($1::text[], …).',
  )
}

import { ConfigurationError } from '../../foundation/errors.ts'

/** Rises when the generated code needs something else of the library. */
export const GENERATED_FORMAT = 2

/**
 * Generated code calls this when it is loaded: the code and the library must have been made for each other.
 *
 * @param file the generated file, for the message
 * @throws ConfigurationError `GENERATED_CODE_OLD`, `GENERATED_CODE_NEW`
 */
export function requireFormat(format: number, file: string): void {
  if (format === GENERATED_FORMAT) return
  const facts = { file, format, expected: GENERATED_FORMAT }
  if (format < GENERATED_FORMAT) {
    throw new ConfigurationError(
      'GENERATED_CODE_OLD',
      `The generated file ${file} has format ${format}, and this version of trunkline needs format ${GENERATED_FORMAT}. Run "trunkline schema generate" and commit what it writes.`,
      facts,
    )
  }
  throw new ConfigurationError(
    'GENERATED_CODE_NEW',
    `The generated file ${file} has format ${format}, which a newer version of trunkline wrote; this one knows format ${GENERATED_FORMAT}. Install the newer version (npm install trunkline@latest), or generate again with this one.`,
    facts,
  )
}

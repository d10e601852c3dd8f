const CHARACTERS_MAX = 2_000

/**
 * A text that PostgreSQL takes as `text` and inside `jsonb`, whoever wrote it: without U+0000 and halves of
 * characters, and not without end.
 */
export function storableText(text: string): string {
  return text.slice(0, CHARACTERS_MAX).replaceAll('\0', '\uFFFD').toWellFormed()
}

/**
 * Parses JSON that a stranger wrote, if it is nested no deeper than `depthMax`.
 *
 * Looked at before it is parsed: whoever walks through a value later need not fear for the stack.
 *
 * @throws Error the text is no JSON, or nested deeper
 */
export function parseJsonWithin(text: string, depthMax: number): unknown {
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const character = text.charCodeAt(at)
    if (character === QUOTE) at = endOfText(text, at)
    else if (character === BRACE || character === BRACKET) {
      depth++
      if (depth > depthMax) throw new Error(`it is nested deeper than ${depthMax} levels`)
    } else if (character === END_BRACE || character === END_BRACKET) depth--
  }
  try {
    const parsed: unknown = JSON.parse(text)
    return parsed
  } catch {
    // The engine's own words quote the text, which is somebody's data.
    throw new Error('it is not JSON')
  }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const BRACE = 0x7b
const END_BRACE = 0x7d
const BRACKET = 0x5b
const END_BRACKET = 0x5d

/** @returns where the text that begins at `at` ends, or the whole does */
function endOfText(text: string, at: number): number {
  let end = at + 1
  while (end < text.length && text.charCodeAt(end) !== QUOTE) end += text.charCodeAt(end) === BACKSLASH ? 2 : 1
  return end
}

/** Lines of generated code are no longer than the formatter allows, so that formatting changes nothing. */
export const LINE_WIDTH = 140

/**
 * A JSON-like value as TypeScript, laid out as the formatter would.
 *
 * @param indent spaces before the line that the literal starts on
 * @param before characters that already stand on that line
 */
export function literal(value: unknown, indent: number, before: number): string {
  const flat = flatLiteral(value)
  // 1 is for the comma that may follow.
  if (!mustBreak(value) && before + flat.length + 1 <= LINE_WIDTH) return flat
  const inner = ' '.repeat(indent + 2)
  const end = ' '.repeat(indent)
  if (Array.isArray(value)) {
    const lines = value.map((item) => `${inner}${literal(item, indent + 2, indent + 2)},`)
    return `[\n${lines.join('\n')}\n${end}]`
  }
  const lines = entriesOf(value).map(([name, item]) => {
    const start = `${inner}${propertyName(name)}: `
    return `${start}${literal(item, indent + 2, start.length)},`
  })
  return lines.length === 0 ? flat : `{\n${lines.join('\n')}\n${end}}`
}

/** Any value of a message as TypeScript, on one line. */
export function valueText(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`
  if (value instanceof Date) return `new Date(${quoted(value.toISOString())})`
  if (value instanceof Uint8Array) return `Uint8Array.of(${value.join(', ')})`
  if (Array.isArray(value)) return `[${value.map(valueText).join(', ')}]`
  if (typeof value !== 'object' || value === null) return flatLiteral(value)
  const parts = entriesOf(value).map(([name, item]) => `${propertyName(name)}: ${valueText(item)}`)
  return parts.length === 0 ? '{}' : `{ ${parts.join(', ')} }`
}

/** A text in single quotes, or in double quotes where that saves escapes. */
export function quoted(text: string): string {
  const double = JSON.stringify(text)
  if (text.includes("'") && !text.includes('"')) return double
  return `'${double.slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`
}

function flatLiteral(value: unknown): string {
  if (typeof value === 'string') return quoted(value)
  if (Array.isArray(value)) return `[${value.map(flatLiteral).join(', ')}]`
  if (typeof value !== 'object' || value === null) return String(value)
  const parts = entriesOf(value).map(([name, item]) => `${propertyName(name)}: ${flatLiteral(item)}`)
  return parts.length === 0 ? '{}' : `{ ${parts.join(', ')} }`
}

/** A list of several objects is read one a line. */
function mustBreak(value: unknown): boolean {
  if (Array.isArray(value)) {
    const objects = value.every((item) => typeof item === 'object' && item !== null && Object.keys(item).length > 1)
    return (value.length > 1 && objects) || value.some(mustBreak)
  }
  return entriesOf(value).some(([, item]) => mustBreak(item))
}

function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === 'object' && value !== null ? Object.entries(value).filter(([, item]) => item !== undefined) : []
}

function propertyName(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : quoted(name)
}

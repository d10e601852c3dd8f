import { type AvroField, type AvroNamed, type AvroRecord, type AvroType, schemaError } from './avro.ts'
import { quoted } from './literal.ts'
import { conversionOf } from './logical.ts'
import { lookOfType } from './look.ts'
import type { SchemaFile } from './schema-files.ts'
import { defaultHint } from './zod-text.ts'

/** Fields with a default may be left out of what goes in, and are always there in what comes out. */
export type Side = 'input' | 'data'

/** Names that generated code needs for itself. */
const TAKEN: ReadonlySet<string> = new Set([
  'Contract',
  'ContractVersion',
  'Date',
  'Messages',
  'Outgoing',
  'Readonly',
  'Record',
  'Uint8Array',
])

/** What each named type is called in TypeScript, and in which file it stands. */
export class TypeNames {
  readonly #files = new Map<AvroNamed, SchemaFile>()
  readonly #highest = new Map<string, number>()

  constructor(files: readonly SchemaFile[]) {
    for (const file of files) {
      this.#files.set(file.type, file)
      this.#highest.set(file.name, Math.max(file.version, this.#highest.get(file.name) ?? 0))
    }
  }

  /** The highest version has the plain name, `OrderPlaced`; an older one `OrderPlacedV1`. */
  constructorOf(file: SchemaFile): string {
    return this.#versioned(shortName(file.name), file)
  }

  /** The file that `type` is the root of; `undefined` for one that is written inside another. */
  fileOf(type: AvroNamed): SchemaFile | undefined {
    return this.#files.get(type)
  }

  isHighest(file: SchemaFile): boolean {
    return this.#highest.get(file.name) === file.version
  }

  /** @param owner the file in which the type is written, or referred to */
  of(type: AvroNamed, side: Side, owner: SchemaFile): string {
    const own = this.#files.get(type)
    const base = this.#versioned(shortName(type.name), own ?? owner)
    if (!/^[A-Z]/.test(base) || TAKEN.has(base)) {
      throw schemaError(
        owner.file,
        '',
        `"${type.name}" cannot be a type in TypeScript: ${TAKEN.has(base) ? 'generated code needs that name' : 'it must start with an upper-case letter'}. Rename it.`,
      )
    }
    if (side === 'input' && (takesLess(type) || own?.routing)) return `${base}Input`
    return own?.routing ? `${base}Data` : base
  }

  /** The zod schema of a type: `OrderPlacedSchema`. */
  schemaOf(type: AvroNamed, owner: SchemaFile): string {
    return `${this.#versioned(shortName(type.name), this.#files.get(type) ?? owner)}Schema`
  }

  #versioned(base: string, file: SchemaFile): string {
    return this.isHighest(file) ? base : `${base}V${file.version}`
  }
}

/** Whether something may be left out of the input, here or deeper. */
export function takesLess(type: AvroType, seen: readonly AvroRecord[] = []): boolean {
  if (type.kind === 'array') return takesLess(type.items, seen)
  if (type.kind === 'map') return takesLess(type.values, seen)
  if (type.kind === 'union') return type.branches.some((branch) => takesLess(branch, seen))
  if (type.kind !== 'record' || seen.includes(type)) return false
  return type.fields.some((field) => field.default !== undefined || takesLess(field.type, [...seen, type]))
}

/** The TypeScript of a type; `nameOf` tells what named types are called. */
export function typeText(type: AvroType, nameOf: (named: AvroNamed) => string): string {
  const look = conversionOf(type) === undefined || type.kind === 'fixed' ? undefined : lookOfType(type)
  if (look !== undefined) return look === 'date' ? 'Date' : look
  switch (type.kind) {
    case 'int':
    case 'long':
    case 'float':
    case 'double':
      return 'number'
    case 'bytes':
      return 'Uint8Array'
    case 'array': {
      const item = typeText(type.items, nameOf)
      return `readonly ${/^readonly |\|/.test(item) ? `(${item})` : item}[]`
    }
    case 'map':
      return `Readonly<Record<string, ${typeText(type.values, nameOf)}>>`
    case 'union':
      return [...type.branches]
        .sort((a, b) => Number(a.kind === 'null') - Number(b.kind === 'null'))
        .map((branch) => typeText(branch, nameOf))
        .join(' | ')
    case 'enum':
    case 'fixed':
    case 'record':
      return nameOf(type)
    default:
      return type.kind
  }
}

/** The declaration of a named type, with its documentation. */
export function declaration(name: string, type: AvroNamed, side: Side, nameOf: (named: AvroNamed) => string): string {
  const head = comment(type.doc, '')
  if (type.kind === 'enum') return `${head}export type ${name} = ${type.symbols.map(quoted).join(' | ')}\n`
  if (type.kind === 'fixed') return `${head}export type ${name} = ${type.logical === undefined ? 'Uint8Array' : 'string'}\n`
  if (type.fields.length === 0) return `${head}export type ${name} = Readonly<Record<string, never>>\n`
  const fields = type.fields.map((field) => fieldText(field, side, nameOf))
  return `${head}export interface ${name} {\n${fields.join('')}}\n`
}

function fieldText(field: AvroField, side: Side, nameOf: (named: AvroNamed) => string): string {
  const text = typeText(field.type, nameOf)
  const optional = side === 'input' && field.default !== undefined
  const hint = optional ? `Default: ${defaultHint(field)}.` : ''
  const tags = field.tags.length === 0 ? '' : `Tags: ${field.tags.join(', ')}.`
  const doc = [field.doc ?? '', hint, tags].filter((part) => part !== '').join(' ')
  return `${comment(doc, '  ')}  readonly ${field.name}${optional ? '?' : ''}: ${text}${optional ? ' | undefined' : ''}\n`
}

/** A documentation comment on one line, or one line for each of the text's. */
export function comment(text: string | undefined, indent: string): string {
  if (text === undefined || text === '') return ''
  const lines = text.replaceAll('*/', '* /').split(/\r?\n/)
  if (lines.length === 1) return `${indent}/** ${lines[0]} */\n`
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}`.trimEnd()).join('\n')}\n${indent} */\n`
}

function shortName(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
}

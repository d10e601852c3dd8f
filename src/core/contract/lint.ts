import type { Finding } from './finding.ts'
import type { SchemaFile } from './schema-files.ts'
import { readTree, type SchemaTree, shortNameOf, type TreeEnum, type TreeField, type TreeRecord, type TreeUnion } from './schema-tree.ts'

/** A schema file, as far as its style goes. */
export type LintedFile = Pick<SchemaFile, 'file' | 'domain' | 'name' | 'version' | 'schema'>

/**
 * Finds what is allowed and will hurt later: a schema that cannot grow, a value that loses its meaning.
 *
 * What cannot be used at all (names that every JavaScript object has, items without bytes, missing replies) is refused
 * when the files are loaded, and never comes here.
 *
 * @returns in the order of the files; none when all is well
 */
export function lint(files: readonly LintedFile[]): readonly Finding[] {
  const names = new Set(files.map((file) => file.name))
  return files.flatMap((file) => {
    const visitor = new Visitor(file, names)
    visitor.visit(readTree(file.schema), '', '')
    return [
      ...visitor.findings,
      ...unboundedPatterns(file, file.schema, ''),
      ...namespaceOfFolder(file, files),
      ...namespacesOfTypes(file, files),
    ]
  })
}

/** Walks through one file; types that have a file of their own are judged there. */
class Visitor {
  readonly findings: Finding[] = []
  readonly #file: LintedFile
  readonly #names: ReadonlySet<string>
  readonly #seen = new Set<SchemaTree>()

  constructor(file: LintedFile, names: ReadonlySet<string>) {
    this.#file = file
    this.#names = names
  }

  /** @param subject what a person calls it: the field that it is the type of */
  visit(tree: SchemaTree, pointer: string, subject: string): void {
    if (this.#seen.has(tree) || ('name' in tree && tree.name !== this.#file.name && this.#names.has(tree.name))) return
    this.#seen.add(tree)
    if (tree.kind === 'enum') this.#enum(tree, pointer)
    if (tree.kind === 'union') this.#union(tree, pointer, subject)
    if (tree.kind === 'array') this.visit(tree.items, `${pointer}/items`, subject)
    if (tree.kind === 'map') this.visit(tree.values, `${pointer}/values`, subject)
    if (tree.kind === 'record') for (const [index, field] of tree.fields.entries()) this.#field(field, `${pointer}/fields/${index}`, tree)
  }

  #field(field: TreeField, pointer: string, record: TreeRecord): void {
    const isNullable = field.type.kind === 'union' && field.type.branches[0]?.kind === 'null'
    if (isNullable && field.default !== null) {
      const problem = `"${field.name}" may be null and has no default, so that senders must write null and no version can leave it out`
      this.#report(`${pointer}`, 'NULL_DEFAULT_MISSING', problem, 'Add "default": null.')
    }
    if (isFloat(field.type) && isMoney(field.name, shortNameOf(record.name))) {
      const problem = `"${field.name}" sounds like money and is a floating-point number, which cannot hold 0.10 exactly`
      const mend = 'Use a long in minor units (1250 is 12.50), or bytes with "logicalType": "decimal".'
      this.#report(`${pointer}/type`, 'MONEY_AS_FLOAT', problem, mend)
    }
    this.visit(field.type, `${pointer}/type`, field.name)
  }

  #enum(tree: TreeEnum, pointer: string): void {
    if (tree.fallback !== undefined) return
    const problem = `the enum ${shortNameOf(tree.name)} has no default, so that it can never get a symbol: programs built before could not read it`
    this.#report(pointer, 'ENUM_DEFAULT_MISSING', problem, 'Add "default", for example a symbol UNKNOWN.')
  }

  #union(tree: TreeUnion, pointer: string, subject: string): void {
    for (const [index, branch] of tree.branches.entries()) this.visit(branch, `${pointer}/${index}`, subject)
    if (tree.branches.length === 2 && tree.branches[0]?.kind === 'null') return
    const problem = `the union of "${subject}" is not ["null", T], and other unions cannot change without breaking somebody`
    this.#report(
      pointer,
      'UNION_SHAPE',
      problem,
      'Write "null" first and one type after it; for a choice, a record with one nullable field for each case.',
    )
  }

  #report(pointer: string, rule: string, problem: string, mend: string): void {
    this.findings.push({ file: this.#file.file, pointer, rule, problem: `${problem}.`, mend })
  }
}

/**
 * A pattern can take time that grows without bound with the text (`^(a+)+$`), and the text may come from outside: a length
 * that is looked at first is what keeps one value from holding up the process. Rules stand anywhere in the file.
 */
function unboundedPatterns(file: LintedFile, schema: unknown, pointer: string): Finding[] {
  if (Array.isArray(schema)) return schema.flatMap((each, index) => unboundedPatterns(file, each, `${pointer}/${index}`))
  if (typeof schema !== 'object' || schema === null) return []
  const inside = ['type', 'fields', 'items', 'values'].flatMap((name) =>
    name in schema ? unboundedPatterns(file, Reflect.get(schema, name), `${pointer}/${name}`) : [],
  )
  if (!('x-pattern' in schema) || 'x-max-length' in schema) return inside
  const problem = 'a pattern without "x-max-length": some patterns take for ever on a long text, and nothing else runs meanwhile.'
  const mend = 'Add "x-max-length"; it is looked at first.'
  return [{ file: file.file, pointer, rule: 'PATTERN_WITHOUT_LENGTH', problem, mend }, ...inside]
}

function isFloat(tree: SchemaTree): boolean {
  if (tree.kind === 'array') return isFloat(tree.items)
  if (tree.kind === 'map') return isFloat(tree.values)
  if (tree.kind === 'union') return tree.branches.some(isFloat)
  return tree.kind === 'float' || tree.kind === 'double'
}

const MONEY = new Set(
  'amount price cost fee subtotal balance salary revenue refund discount deposit money tax vat payment charge'.split(' '),
)
/** Money only at the end: a total weight is none. */
const MONEY_LAST = new Set(['total', 'sum', 'credit', 'debit'])
/** Whatever it is of, it is no money. */
const RATIO = new Set('rate ratio percent percentage factor share score probability weight count days hours'.split(' '))

function isMoney(field: string, record: string): boolean {
  const words = wordsOf(field)
  const last = words.at(-1) ?? ''
  if (RATIO.has(last)) return false
  return (
    MONEY_LAST.has(last) || words.some((word) => MONEY.has(word)) || wordsOf(record).some((word) => word === 'money' || word === 'price')
  )
}

/** `unitPrices`, `UNIT_PRICE`: unit, price. */
function wordsOf(name: string): string[] {
  const words = name.split(/[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])/)
  return words.map((word) => word.toLowerCase().replace(/(?<=..)s$/, ''))
}

/** Types, subjects and topics are found by their full names, so those of one folder begin alike. */
function namespaceOfFolder(file: LintedFile, files: readonly LintedFile[]): Finding[] {
  const first = files.find((each) => each.domain === file.domain)
  if (first === undefined || namespaceOf(first.name) === namespaceOf(file.name)) return []
  return [
    {
      file: file.file,
      pointer: '/namespace',
      rule: 'NAMESPACE_DIFFERS',
      problem: `its namespace is "${namespaceOf(file.name)}", and that of ${first.file} in the same folder is "${namespaceOf(first.name)}".`,
      mend: 'Use one namespace for a folder, and never change it.',
    },
  ]
}

/** Readers in other languages, and our own decoder, take a type with another namespace for another type. */
function namespacesOfTypes(file: LintedFile, files: readonly LintedFile[]): Finding[] {
  const before = files.find((each) => each.name === file.name && each.version === file.version - 1)
  if (before === undefined) return []
  const known = new Map([...namedTypes(readTree(before.schema))].map(([name]) => [shortNameOf(name), name]))
  return [...namedTypes(readTree(file.schema))].flatMap(([name, pointer]) => {
    const old = known.get(shortNameOf(name))
    if (old === undefined || old === name) return []
    const problem = `${shortNameOf(name)} is "${name}" here and "${old}" in ${before.file}: the same type under another namespace is another type.`
    return [{ file: file.file, pointer, rule: 'NAMESPACE_CHANGED', problem, mend: `Call it "${old}" again.` }]
  })
}

/** Each named type with the place where it stands first. */
function namedTypes(tree: SchemaTree, pointer = '', found = new Map<string, string>()): Map<string, string> {
  if ('name' in tree) {
    if (found.has(tree.name)) return found
    found.set(tree.name, pointer)
  }
  if (tree.kind === 'array') namedTypes(tree.items, `${pointer}/items`, found)
  if (tree.kind === 'map') namedTypes(tree.values, `${pointer}/values`, found)
  if (tree.kind === 'union') for (const [index, branch] of tree.branches.entries()) namedTypes(branch, `${pointer}/${index}`, found)
  if (tree.kind === 'record')
    for (const [index, field] of tree.fields.entries()) namedTypes(field.type, `${pointer}/fields/${index}/type`, found)
  return found
}

function namespaceOf(name: string): string {
  return name.slice(0, Math.max(0, name.lastIndexOf('.')))
}

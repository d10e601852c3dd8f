import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path/posix'
import { fileURLToPath } from 'node:url'
import { parseAst } from 'vitest/node'

/** One import, whatever its form: `import`, `export … from`, `import()`, `require()`, `import('…')` as a type. */
export interface Import {
  /** A file of the repository (`src/core/health.ts`) or a package (`pg`, `node:net`). */
  readonly target: string
  readonly isFile: boolean
  readonly typeOnly: boolean
}

export interface SourceFunction {
  readonly name: string
  readonly lines: number
}

/** What the rules of the house need to know of one file. */
export interface SourceFile {
  readonly path: string
  readonly lines: number
  readonly imports: readonly Import[]
  readonly functions: readonly SourceFunction[]
  readonly awaitsAtTopLevel: boolean
  readonly exportsEverything: boolean
  readonly exportsDefault: boolean
  readonly readsEnvironment: boolean
  /** Words that promise to finish later. */
  readonly promises: readonly string[]
}

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Every TypeScript file below the folders, by its path from the root of the repository. */
export function readTree(...folders: readonly string[]): SourceFile[] {
  const paths = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  )
  return paths.sort().map((path) => readSource(path, readFileSync(join(root, path), 'utf8')))
}

/** By the parser of the test runner: TypeScript 7 has none that can be called, and text is too easily misread. */
export function readSource(path: string, text: string): SourceFile {
  const found = new Findings(path, text)
  found.visit(toNode(parseAst(text, { lang: 'ts' }, path)), 0)
  return {
    path,
    lines: text.trimEnd().split('\n').length,
    imports: found.imports,
    functions: found.functions,
    awaitsAtTopLevel: found.awaitsAtTopLevel,
    exportsEverything: found.exportsEverything,
    exportsDefault: found.exportsDefault,
    readsEnvironment: found.readsEnvironment,
    promises: [...text.matchAll(/\b(TODO|FIXME|XXX|HACK)\b/g)].map(([word]) => word),
  }
}

/** A node of the syntax tree: which fields it has depends on its type. */
interface SyntaxNode {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly fields: Readonly<Record<string, unknown>>
}

class Findings {
  readonly imports: Import[] = []
  readonly functions: SourceFunction[] = []
  awaitsAtTopLevel = false
  exportsEverything = false
  exportsDefault = false
  readsEnvironment = false
  readonly #path: string
  readonly #text: string

  constructor(path: string, text: string) {
    this.#path = path
    this.#text = text
  }

  visit(node: SyntaxNode, depth: number, name = 'anonymous'): void {
    const inside = isFunction(node) ? depth + 1 : depth
    this.#note(node, depth, name)
    for (const child of children(node)) this.visit(child, inside, nameFor(child, node, name))
  }

  #note(node: SyntaxNode, depth: number, name: string): void {
    const { fields } = node
    if (isFunction(node)) this.functions.push({ name, lines: this.#linesOf(node) })
    switch (node.type) {
      case 'ImportDeclaration':
      case 'ExportNamedDeclaration':
      case 'ExportAllDeclaration':
        this.#import(sourceOf(node), importsTypesOnly(fields))
        this.exportsEverything ||= node.type === 'ExportAllDeclaration'
        break
      case 'ImportExpression':
      case 'TSImportType':
        this.#import(sourceOf(node), node.type === 'TSImportType')
        break
      case 'CallExpression':
        this.#require(fields)
        break
      case 'ExportDefaultDeclaration':
        this.exportsDefault = true
        break
      case 'AwaitExpression':
        this.awaitsAtTopLevel ||= depth === 0
        break
      case 'ForOfStatement':
        this.awaitsAtTopLevel ||= depth === 0 && fields['await'] === true
    }
    this.readsEnvironment ||= readsEnvironment(node, this.#textOf(node))
  }

  #require(call: SyntaxNode['fields']): void {
    const callee = asNode(call['callee'])
    const [argument] = Array.isArray(call['arguments']) ? call['arguments'].map(asNode) : []
    if (callee?.fields['name'] !== 'require' || argument === undefined) return
    const { value } = argument.fields
    if (typeof value === 'string') this.#import(value, false)
  }

  #import(source: string | undefined, typeOnly: boolean): void {
    if (source === undefined) return
    const isFile = source.startsWith('.')
    const target = isFile ? join(dirname(this.#path), source) : packageOf(source)
    this.imports.push({ target, isFile, typeOnly })
  }

  #linesOf(node: SyntaxNode): number {
    return this.#textOf(node).split('\n').length
  }

  #textOf(node: SyntaxNode): string {
    return this.#text.slice(node.start, node.end)
  }
}

/** By name, by a member, or taken apart. */
function readsEnvironment(node: SyntaxNode, text: string): boolean {
  switch (node.type) {
    case 'ImportDeclaration':
      return /^(node:)?process$/.test(sourceOf(node) ?? '') && /\benv\b/.test(text)
    case 'MemberExpression':
      return /^process(\?\.|\.)env$|^process\[['"]env['"]\]$/.test(text)
    case 'VariableDeclarator':
      return /^\{[^}]*\benv\b[^}]*\}\s*=\s*process$/.test(text)
    default:
      return false
  }
}

function packageOf(source: string): string {
  if (source.startsWith('node:')) return source
  const [first = source, second = ''] = source.split('/')
  if (first === 'trunkline') return source
  return first.startsWith('@') ? `${first}/${second}` : first
}

function isFunction({ type }: SyntaxNode): boolean {
  return type === 'FunctionDeclaration' || type === 'FunctionExpression' || type === 'ArrowFunctionExpression'
}

/** A function is known by what holds it: the method, the variable, the property. */
function nameFor(child: SyntaxNode, parent: SyntaxNode, inherited: string): string {
  const own = asNode(child.fields['id']) ?? (isFunction(child) ? (asNode(parent.fields['key']) ?? asNode(parent.fields['id'])) : undefined)
  const name = own?.fields['name']
  return typeof name === 'string' ? name : inherited
}

function importsTypesOnly(fields: SyntaxNode['fields']): boolean {
  if (fields['importKind'] === 'type' || fields['exportKind'] === 'type') return true
  const specifiers = Array.isArray(fields['specifiers']) ? fields['specifiers'].map(asNode) : []
  return specifiers.length > 0 && specifiers.every((one) => one?.fields['importKind'] === 'type' || one?.fields['exportKind'] === 'type')
}

function sourceOf({ fields }: SyntaxNode): string | undefined {
  const source = asNode(fields['source']) ?? asNode(fields['argument'])
  const value = source?.fields['value'] ?? asNode(source?.fields['literal'])?.fields['value']
  return typeof value === 'string' ? value : undefined
}

function children({ fields }: SyntaxNode): SyntaxNode[] {
  return Object.values(fields)
    .flat()
    .map(asNode)
    .filter((node) => node !== undefined)
}

function toNode(value: unknown): SyntaxNode {
  const node = asNode(value)
  if (node === undefined) throw new TypeError('The parser gave no syntax tree.')
  return node
}

function asNode(value: unknown): SyntaxNode | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const fields = Object.fromEntries(Object.entries(value))
  const { type, start, end } = fields
  if (typeof type !== 'string' || typeof start !== 'number' || typeof end !== 'number') return undefined
  return { type, start, end, fields }
}

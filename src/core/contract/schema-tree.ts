import { type AvroPrimitiveName, isJsonObject, isPrimitiveName } from './avro.ts'

/**
 * Any Avro schema as a tree, also those that our parser refuses for JavaScript's sake (`["int", "double"]`): who
 * judges or describes a schema must be able to read it. Full names, references resolved; a record may contain itself.
 */
export type SchemaTree = TreePlain | TreeArray | TreeMap | TreeUnion | TreeEnum | TreeFixed | TreeRecord | TreeReference

interface TreeNode {
  readonly logical: TreeLogical | undefined
}
export interface TreePlain extends TreeNode {
  readonly kind: AvroPrimitiveName
}
export interface TreeArray extends TreeNode {
  readonly kind: 'array'
  readonly items: SchemaTree
}
export interface TreeMap extends TreeNode {
  readonly kind: 'map'
  readonly values: SchemaTree
}
export interface TreeUnion extends TreeNode {
  readonly kind: 'union'
  readonly branches: readonly SchemaTree[]
}
interface TreeNamed extends TreeNode {
  /** With its namespace. */
  readonly name: string
  readonly aliases: readonly string[]
}
export interface TreeEnum extends TreeNamed {
  readonly kind: 'enum'
  readonly symbols: readonly string[]
  readonly fallback: string | undefined
}
export interface TreeFixed extends TreeNamed {
  readonly kind: 'fixed'
  readonly size: number
}
export interface TreeRecord extends TreeNamed {
  readonly kind: 'record'
  readonly fields: readonly TreeField[]
}
/** A name that nothing read so far defines. */
export interface TreeReference extends TreeNode {
  readonly kind: 'reference'
  readonly name: string
}
export interface TreeField {
  readonly name: string
  readonly aliases: readonly string[]
  readonly type: SchemaTree
  /** As JSON; `undefined`: it has none. */
  readonly default: unknown
}

/** What a value means beyond its bytes. It is no part of Avro's canonical form, so a change of it keeps the fingerprint. */
export interface TreeLogical {
  readonly logicalType: string
  /** Of a decimal; `undefined` for others. */
  readonly precision: unknown
  readonly scale: unknown
}

/**
 * Reads a schema without judging it.
 *
 * @param lookUp the schema of a name that is defined elsewhere; `undefined` leaves it a reference
 */
export function readTree(schema: unknown, lookUp: (name: string) => unknown = () => undefined): SchemaTree {
  return new TreeReader(lookUp).read(schema, '')
}

/** The name without its namespace. */
export function shortNameOf(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
}

/** `decimal(9, 2)`, `timestamp-millis`, or that there is none. */
export function shownLogical(logical: TreeLogical | undefined): string {
  if (logical === undefined) return 'no logical type'
  if (logical.precision === undefined) return logical.logicalType
  return `${logical.logicalType}(${JSON.stringify(logical.precision)}, ${JSON.stringify(logical.scale)})`
}

class TreeReader {
  readonly #lookUp: (name: string) => unknown
  readonly #named = new Map<string, SchemaTree>()

  constructor(lookUp: (name: string) => unknown) {
    this.#lookUp = lookUp
  }

  read(schema: unknown, namespace: string): SchemaTree {
    if (typeof schema === 'string') return this.#reference(schema, namespace)
    if (Array.isArray(schema))
      return { kind: 'union', logical: undefined, branches: schema.map((branch: unknown) => this.read(branch, namespace)) }
    if (!isJsonObject(schema)) return { kind: 'reference', logical: undefined, name: JSON.stringify(schema) ?? 'nothing' }
    const logical = logicalOf(schema)
    switch (schema['type']) {
      case 'array':
        return { kind: 'array', logical, items: this.read(schema['items'], namespace) }
      case 'map':
        return { kind: 'map', logical, values: this.read(schema['values'], namespace) }
      case 'enum': {
        const fallback = schema['default']
        const symbols = texts(schema['symbols'])
        return this.#define({
          kind: 'enum',
          logical,
          ...head(schema, namespace),
          symbols,
          fallback: typeof fallback === 'string' ? fallback : undefined,
        })
      }
      case 'fixed':
        return this.#define({ kind: 'fixed', logical, ...head(schema, namespace), size: Number(schema['size']) })
      case 'record':
      case 'error':
        return this.#record(schema, namespace, logical)
      default: {
        const inner = this.read(schema['type'], namespace)
        return logical === undefined ? inner : { ...inner, logical }
      }
    }
  }

  #reference(name: string, namespace: string): SchemaTree {
    if (isPrimitiveName(name)) return { kind: name, logical: undefined }
    const full = name.includes('.') || namespace === '' ? name : `${namespace}.${name}`
    const known = this.#named.get(full)
    if (known !== undefined) return known
    const elsewhere = this.#lookUp(full)
    const tree: SchemaTree =
      elsewhere === undefined ? { kind: 'reference', logical: undefined, name: full } : readTree(elsewhere, this.#lookUp)
    this.#named.set(full, tree)
    return tree
  }

  #record(schema: Record<string, unknown>, namespace: string, logical: TreeLogical | undefined): SchemaTree {
    const fields: TreeField[] = []
    const record: TreeRecord = { kind: 'record', logical, ...head(schema, namespace), fields }
    // Known before its fields are read: a record may contain itself.
    this.#define(record)
    const inside = record.name.slice(0, Math.max(0, record.name.lastIndexOf('.')))
    for (const field of Array.isArray(schema['fields']) ? schema['fields'].filter(isJsonObject) : []) {
      const type = this.read(field['type'], inside)
      fields.push({ name: String(field['name']), aliases: texts(field['aliases']), type, default: field['default'] })
    }
    return record
  }

  #define(tree: TreeEnum | TreeFixed | TreeRecord): SchemaTree {
    this.#named.set(tree.name, tree)
    return tree
  }
}

function head(schema: Record<string, unknown>, namespace: string): { name: string; aliases: readonly string[] } {
  const space = typeof schema['namespace'] === 'string' ? schema['namespace'] : namespace
  const written = String(schema['name'])
  const name = written.includes('.') || space === '' ? written : `${space}.${written}`
  // An alias without a namespace stands in that of the name, wherever the name got it from.
  const prefix = name.slice(0, name.lastIndexOf('.') + 1)
  return { name, aliases: texts(schema['aliases']).map((alias) => (alias.includes('.') ? alias : prefix + alias)) }
}

function logicalOf(schema: Record<string, unknown>): TreeLogical | undefined {
  const logicalType = schema['logicalType']
  if (typeof logicalType !== 'string') return undefined
  const isDecimal = logicalType === 'decimal'
  // Avro's own default of a scale.
  return { logicalType, precision: isDecimal ? schema['precision'] : undefined, scale: isDecimal ? (schema['scale'] ?? 0) : undefined }
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : []
}

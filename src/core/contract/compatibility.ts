import {
  readTree,
  type SchemaTree,
  shortNameOf,
  shownLogical,
  type TreeEnum,
  type TreeField,
  type TreeFixed,
  type TreeLogical,
  type TreeRecord,
} from './schema-tree.ts'

/**
 * Why a reader cannot read a writer: the six kinds of Apache Avro's `SchemaCompatibility`, and one that it misses.
 * A changed logical type leaves bytes and fingerprint as they are, and every value silently means something else.
 */
export type IncompatibilityKind =
  | 'NAME_MISMATCH'
  | 'FIXED_SIZE_MISMATCH'
  | 'MISSING_ENUM_SYMBOLS'
  | 'READER_FIELD_MISSING_DEFAULT_VALUE'
  | 'TYPE_MISMATCH'
  | 'MISSING_UNION_BRANCH'
  | 'LOGICAL_TYPE_MISMATCH'

export interface Incompatibility {
  readonly kind: IncompatibilityKind
  /** JSON pointer into the reader's schema, through references as if they were written out. */
  readonly reader: string
  /** The same place in the writer's schema: the record, where the writer lacks a field. */
  readonly writer: string
  /** The field or type that it is about, as a person calls it. */
  readonly subject: string
  /** What the reader has and what the writer has: `long`, `["A", "B"]`; empty where that says nothing. */
  readonly readerHas: string
  readonly writerHas: string
}

/**
 * Whether everything written with one schema can be read with another.
 *
 * It judges as Apache Avro 1.12 for Java does: namespaces do not count, aliases of the reader do, and a symbol that the reader
 * lacks is fine where its enum has a default. Unlike Java it looks into the branch of a union that has the same name.
 *
 * @param lookUp the schema of a name that neither defines
 * @returns each reason once, in the reader's order; none when it can
 * @see https://github.com/apache/avro/blob/main/lang/java/avro/src/main/java/org/apache/avro/SchemaCompatibility.java
 */
export function incompatibilities(
  reader: unknown,
  writer: unknown,
  lookUp: (name: string) => unknown = () => undefined,
): readonly Incompatibility[] {
  const found = new Comparison().compare(readTree(reader, lookUp), readTree(writer, lookUp), { reader: '', writer: '', subject: '' })
  return [...new Set(found)]
}

/** Where the comparison stands in both schemas. */
interface Place {
  readonly reader: string
  readonly writer: string
  readonly subject: string
}

const PROMOTIONS: Readonly<Record<string, readonly string[]>> = {
  long: ['int'],
  float: ['int', 'long'],
  double: ['int', 'long', 'float'],
  string: ['bytes'],
  bytes: ['string'],
}

class Comparison {
  /** A pair that is being compared counts as readable: only a difference elsewhere can make it unreadable. */
  readonly #known = new Map<SchemaTree, Map<SchemaTree, Incompatibility[]>>()

  compare(reader: SchemaTree, writer: SchemaTree, place: Place): Incompatibility[] {
    const pairs = this.#known.get(reader) ?? new Map<SchemaTree, Incompatibility[]>()
    const known = pairs.get(writer)
    if (known !== undefined) return known
    this.#known.set(reader, pairs.set(writer, []))
    const found = this.#compare(reader, writer, place)
    pairs.set(writer, found)
    return found
  }

  #compare(reader: SchemaTree, writer: SchemaTree, place: Place): Incompatibility[] {
    if (writer.kind === 'union') {
      return writer.branches.flatMap((branch, index) => this.compare(reader, branch, { ...place, writer: `${place.writer}/${index}` }))
    }
    if (reader.kind === 'union') return this.#anyBranch(reader.branches, writer, place)
    const logical = logicalMismatch(reader.logical, writer.logical, place)
    if (reader.kind !== writer.kind) {
      const promoted = PROMOTIONS[reader.kind]?.includes(writer.kind) === true
      return promoted ? logical : [mismatch('TYPE_MISMATCH', place, reader.kind, writer.kind)]
    }
    return [...logical, ...this.#sameKind(reader, writer, place)]
  }

  #sameKind(reader: SchemaTree, writer: SchemaTree, place: Place): Incompatibility[] {
    if (reader.kind === 'array' && writer.kind === 'array') return this.compare(reader.items, writer.items, within(place, '/items'))
    if (reader.kind === 'map' && writer.kind === 'map') return this.compare(reader.values, writer.values, within(place, '/values'))
    if (reader.kind === 'enum' && writer.kind === 'enum') return [...names(reader, writer, place), ...symbols(reader, writer, place)]
    if (reader.kind === 'fixed' && writer.kind === 'fixed') return [...names(reader, writer, place), ...sizes(reader, writer, place)]
    if (reader.kind === 'record' && writer.kind === 'record')
      return [...names(reader, writer, place), ...this.#fields(reader, writer, place)]
    if (reader.kind === 'reference' && writer.kind === 'reference' && reader.name !== writer.name)
      return [mismatch('TYPE_MISMATCH', place, reader.name, writer.name)]
    return []
  }

  #fields(reader: TreeRecord, writer: TreeRecord, place: Place): Incompatibility[] {
    return reader.fields.flatMap((field, index) => {
      const writerIndex = indexIn(writer, field)
      const at = { ...place, reader: `${place.reader}/fields/${index}`, subject: field.name }
      const writerField = writer.fields[writerIndex]
      if (writerField !== undefined) {
        const types = { ...at, reader: `${at.reader}/type`, writer: `${place.writer}/fields/${writerIndex}/type` }
        return this.compare(field.type, writerField.type, types)
      }
      // Java lets the default of an enum stand in here and then fails to decode (TestSchemaCompatibilityEnumDefaults).
      if (field.default !== undefined) return []
      return [mismatch('READER_FIELD_MISSING_DEFAULT_VALUE', { ...at, writer: `${place.writer}/fields` }, field.name, '')]
    })
  }

  #anyBranch(branches: readonly SchemaTree[], writer: SchemaTree, place: Place): Incompatibility[] {
    const at = (index: number): Place => ({ ...place, reader: `${place.reader}/${index}` })
    if (branches.some((branch, index) => this.compare(branch, writer, at(index)).length === 0)) return []
    const twin = branches.findIndex((branch) => isTwin(branch, writer))
    const branch = branches[twin]
    if (branch !== undefined) return this.compare(branch, writer, at(twin))
    return [mismatch('MISSING_UNION_BRANCH', place, listed(branches.map(shown)), shown(writer))]
  }
}

/** Whether a branch of the reader is what the writer meant, so that it is worth saying what differs inside. */
function isTwin(reader: SchemaTree, writer: SchemaTree): boolean {
  if (reader.kind !== writer.kind) return false
  return isNamed(reader) && isNamed(writer) ? sameName(reader, writer) : true
}

function isNamed(tree: SchemaTree): tree is TreeEnum | TreeFixed | TreeRecord {
  return tree.kind === 'record' || tree.kind === 'enum' || tree.kind === 'fixed'
}

function sameName(reader: TreeEnum | TreeFixed | TreeRecord, writer: TreeEnum | TreeFixed | TreeRecord): boolean {
  return shortNameOf(reader.name) === shortNameOf(writer.name) || reader.aliases.includes(writer.name)
}

function names(reader: TreeEnum | TreeFixed | TreeRecord, writer: TreeEnum | TreeFixed | TreeRecord, place: Place): Incompatibility[] {
  return sameName(reader, writer) ? [] : [mismatch('NAME_MISMATCH', within(place, '/name'), reader.name, writer.name)]
}

function sizes(reader: TreeFixed, writer: TreeFixed, place: Place): Incompatibility[] {
  if (reader.size === writer.size) return []
  return [mismatch('FIXED_SIZE_MISMATCH', within(place, '/size'), `${reader.size} bytes`, `${writer.size} bytes`)]
}

function symbols(reader: TreeEnum, writer: TreeEnum, place: Place): Incompatibility[] {
  const missing = writer.symbols.filter((symbol) => !reader.symbols.includes(symbol))
  if (missing.length === 0 || (reader.fallback !== undefined && reader.symbols.includes(reader.fallback))) return []
  return [mismatch('MISSING_ENUM_SYMBOLS', within(place, '/symbols'), listed(reader.symbols), listed(missing))]
}

function logicalMismatch(reader: TreeLogical | undefined, writer: TreeLogical | undefined, place: Place): Incompatibility[] {
  const changed = (['logicalType', 'precision', 'scale'] as const).find((attribute) => reader?.[attribute] !== writer?.[attribute])
  if (changed === undefined) return []
  return [mismatch('LOGICAL_TYPE_MISMATCH', within(place, `/${changed}`), shownLogical(reader), shownLogical(writer))]
}

function indexIn(writer: TreeRecord, field: TreeField): number {
  const direct = writer.fields.findIndex((each) => each.name === field.name)
  return direct >= 0 ? direct : writer.fields.findIndex((each) => field.aliases.includes(each.name))
}

function mismatch(kind: IncompatibilityKind, place: Place, readerHas: string, writerHas: string): Incompatibility {
  return { kind, ...place, readerHas, writerHas }
}

function within(place: Place, step: string): Place {
  return { ...place, reader: place.reader + step, writer: place.writer + step }
}

function shown(tree: SchemaTree): string {
  if (tree.kind === 'union') return listed(tree.branches.map(shown))
  return isNamed(tree) || tree.kind === 'reference' ? tree.name : tree.kind
}

function listed(items: readonly string[]): string {
  return items.map((item) => JSON.stringify(item)).join(', ')
}

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigurationError, messageOf } from '../../foundation/errors.ts'
import { nearest } from '../../foundation/options.ts'
import { type AvroNamed, type AvroSchema, isJsonObject, schemaError, toSchema } from './avro.ts'
import { canonicalForm } from './codec.ts'
import { crc64Avro } from './fingerprint.ts'
import { checkVersions, parseRouting, type RoutedFile } from './routing.ts'
import { parseSchema } from './schema-parser.ts'

/** One released version of a message, or of a type that messages share. */
export interface SchemaFile extends RoutedFile {
  /** Relative to the folder of schemas: `orders/OrderPlaced.v1.avsc`. */
  readonly file: string
  readonly domain: string
  /** The Avro full name. */
  readonly name: string
  readonly type: AvroNamed
  /** Refers to nothing outside itself. */
  readonly schema: AvroSchema
  readonly fingerprint: string
}

/** A file as it was read. */
interface Draft {
  readonly file: string
  readonly domain: string
  readonly shortName: string
  readonly version: number
  readonly name: string
  readonly json: Record<string, unknown>
}

const FILE = /^([A-Z][A-Za-z0-9]*)\.v([1-9]\d{0,3})\.avsc$/

/**
 * Reads `<domain>/<Name>.v<N>.avsc` below a folder: names, versions from 1 on, references across files, routing.
 *
 * A file without a version in its name and without a "trunkline" attribute is no message and is left alone.
 *
 * @returns sorted by name and version
 * @throws ConfigurationError `SCHEMA_INVALID`: names the file and the place as a JSON pointer;
 *   `SCHEMAS_MISSING`: there is no such folder
 */
export function loadSchemas(dir: string): readonly SchemaFile[] {
  const drafts = filesIn(dir)
    .map((path) => readDraft(dir, path))
    .filter((draft) => draft !== undefined)
    .sort((a, b) => (a.name === b.name ? a.version - b.version : compare(a.name, b.name)))
  const files = new Linker(drafts).link()
  checkVersions(files)
  return files
}

function filesIn(dir: string): string[] {
  try {
    return readdirSync(dir, { recursive: true, encoding: 'utf8' })
      .map((path) => path.replaceAll('\\', '/'))
      .filter((path) => path.endsWith('.avsc'))
      .sort()
  } catch (error) {
    throw new ConfigurationError(
      'SCHEMAS_MISSING',
      `The folder of schemas cannot be read: ${messageOf(error)}. Create it, or set "schemas" in trunkline.config.ts.`,
      { dir },
      error,
    )
  }
}

function readDraft(dir: string, file: string): Draft | undefined {
  const json = parseJson(file, readFileSync(join(dir, file), 'utf8'))
  const [domain, base, ...deeper] = file.split('/')
  const [, shortName, version] = FILE.exec(base ?? '') ?? []
  const routed = isJsonObject(json) && json['trunkline'] !== undefined
  if (isJsonObject(json) && !routed) refuseMisspelt(json, file)
  if (domain === undefined || deeper.length > 0 || shortName === undefined) {
    if (!routed) return undefined
    throw schemaError(file, '', 'a message stands in <domain>/<Name>.v<N>.avsc, for example orders/OrderPlaced.v1.avsc. Rename the file.')
  }
  if (!isJsonObject(json)) throw schemaError(file, '', 'a schema file holds one record, enum or fixed.')
  return { file, domain, shortName, version: Number(version), name: nameIn(json, file, domain, shortName), json }
}

/** Otherwise the message would only be missing from what is generated. */
function refuseMisspelt(json: Record<string, unknown>, file: string): void {
  const wrong = Object.keys(json).find((name) => nearest(name, ['trunkline']) !== undefined)
  if (wrong !== undefined) throw schemaError(file, `/${wrong}`, `"${wrong}" is not known here (did you mean "trunkline"?). Correct it.`)
}

function parseJson(file: string, text: string): unknown {
  if (text.startsWith('\uFEFF'))
    throw schemaError(file, '', 'it begins with a byte order mark, which JSON does not have. Save it as UTF-8 without one.')
  try {
    return JSON.parse(text)
  } catch (error) {
    throw schemaError(file, '', `this is not JSON: ${messageOf(error)}. Correct it there.`)
  }
}

/** The file, the name and the namespace must agree, because each is how somebody looks for it. */
function nameIn(json: Record<string, unknown>, file: string, domain: string, shortName: string): string {
  const name = json['name']
  const namespace = json['namespace']
  if (name !== shortName)
    throw schemaError(file, '/name', `the file is named for "${shortName}", the schema for ${JSON.stringify(name)}. Rename one of them.`)
  if (typeof namespace !== 'string' || namespace.split('.').at(-1) !== domain) {
    throw schemaError(
      file,
      '/namespace',
      `the namespace ends in the folder's name, for example "shop.${domain}", and is ${JSON.stringify(namespace)}. Correct it, or move the file.`,
    )
  }
  return `${namespace}.${name}`
}

/** Resolves references between files; each file is understood once, those it refers to first. */
class Linker {
  readonly #drafts: readonly Draft[]
  readonly #types = new Map<Draft, AvroNamed>()
  readonly #open: Draft[] = []

  constructor(drafts: readonly Draft[]) {
    this.#drafts = drafts
  }

  link(): SchemaFile[] {
    return this.#drafts.map((draft) => {
      const type = this.#typeOf(draft)
      const schema = toSchema(type, draft.file)
      const routing = parseRouting(draft.json['trunkline'], type, draft.file)
      const { file, domain, name, version } = draft
      return { file, domain, name, version, type, schema, fingerprint: fingerprintFor(schema, file), routing }
    })
  }

  #typeOf(draft: Draft): AvroNamed {
    const known = this.#types.get(draft)
    if (known !== undefined) return known
    if (this.#open.includes(draft)) {
      const circle = [...this.#open.slice(this.#open.indexOf(draft)), draft].map((each) => each.file).join(' -> ')
      throw schemaError(draft.file, '', `schema files refer to each other in a circle: ${circle}. Define these types in one file.`)
    }
    this.#open.push(draft)
    const type = parseSchema(draft.json, {
      where: draft.file,
      resolve: (name, pointer) => this.#resolve(name, draft, pointer),
      owns: (name) => this.#drafts.some((each) => each.name === name),
    })
    this.#open.pop()
    if (type.kind !== 'record' && type.kind !== 'enum' && type.kind !== 'fixed')
      throw schemaError(draft.file, '/type', 'a schema file holds one record, enum or fixed.')
    this.#types.set(draft, type)
    return type
  }

  /**
   * A reference names its version, `Name.vN`, or means the only one. Were it to mean the highest, a new file would change
   * the bytes and the fingerprint of released messages that refer to the old one, and nothing could read those any more.
   */
  #resolve(reference: string, from: Draft, pointer: string): AvroNamed | undefined {
    const [, name = reference, version] = /^(.+)\.v([1-9]\d*)$/.exec(reference) ?? []
    const versions = this.#drafts.filter((draft) => draft.name === name)
    if (version === undefined && versions.length > 1) throw unpinned(reference, versions, from, pointer)
    const draft = version === undefined ? versions[0] : versions.find((each) => each.version === Number(version))
    if (draft !== undefined) return this.#typeOf(draft)
    const near = nearest(reference, [...new Set(this.#drafts.map((each) => each.name))])
    if (near === undefined && versions.length === 0) return undefined
    const hint = versions.length > 0 ? `its versions are ${versions.map((each) => each.version).join(', ')}` : `did you mean "${near}"?`
    throw schemaError(
      from.file,
      pointer,
      `it refers to "${reference}", which no schema file defines (${hint}). Correct the name, or add the file.`,
    )
  }
}

function unpinned(name: string, versions: readonly Draft[], from: Draft, pointer: string): ConfigurationError {
  const [first, ...others] = versions.map((each) => `v${each.version}`)
  return schemaError(
    from.file,
    pointer,
    `"${name}" has the versions ${[first, ...others].join(', ')}, and a reference must say which. Write "${name}.${first}", which is what it meant while there was no other (bytes and fingerprint stay), or, in a file that is not released yet, a newer one.`,
  )
}

/** The last judge of a schema is the library that will encode with it. */
function fingerprintFor(schema: AvroSchema, file: string): string {
  try {
    return crc64Avro(canonicalForm(schema))
  } catch (error) {
    throw schemaError(file, '', `the schema cannot be used: ${messageOf(error)}. Correct it.`)
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : 1
}

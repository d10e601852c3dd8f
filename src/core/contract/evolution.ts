import { ConfigurationError } from '../../foundation/errors.ts'
import { nearest } from '../../foundation/options.ts'
import { type Incompatibility, incompatibilities } from './compatibility.ts'
import { type Finding, writtenPlace } from './finding.ts'
import type { SchemaFile } from './schema-files.ts'
import { readTree } from './schema-tree.ts'

/**
 * Which versions must be able to read which, in the words of schema registries. Without `_TRANSITIVE` a version is
 * compared with the one before it only.
 */
export const compatibilityLevels = [
  'NONE',
  'BACKWARD',
  'BACKWARD_TRANSITIVE',
  'FORWARD',
  'FORWARD_TRANSITIVE',
  'FULL',
  'FULL_TRANSITIVE',
] as const
export type CompatibilityLevel = (typeof compatibilityLevels)[number]

export interface CompatibilityPolicy {
  readonly compatibility: CompatibilityLevel
  /** By full name, for the messages that need another level. */
  readonly overrides: Readonly<Record<string, CompatibilityLevel>>
}

/** `backward`: the newer version reads the older one. `forward`: the older one reads the newer. */
export type Direction = 'backward' | 'forward'

/** A schema file, as far as its compatibility goes. */
export type EvolvingFile = Pick<SchemaFile, 'file' | 'name' | 'version' | 'schema'>

/**
 * Compares every version of every schema with those before it.
 *
 * @returns a finding for each place that breaks somebody, in the order of the files; none when all is well
 * @throws ConfigurationError `OPTION_INVALID`: an override is for a name that no file has
 */
export function checkEvolution(files: readonly EvolvingFile[], policy: CompatibilityPolicy): readonly Finding[] {
  const byName = Map.groupBy(files, (file) => file.name)
  refuseUnknownOverrides(Object.keys(policy.overrides), [...byName.keys()])
  return [...byName].flatMap(([name, versions]) => {
    const level = policy.overrides[name] ?? policy.compatibility
    const sorted = versions.toSorted((a, b) => a.version - b.version)
    return sorted.flatMap((newer, index) => {
      const earlier = level.endsWith('_TRANSITIVE') ? sorted.slice(0, index) : sorted.slice(Math.max(0, index - 1), index)
      return compareVersions(newer, earlier, directionsOf(level), (other) => byName.has(other))
    })
  })
}

/** @returns none for `NONE` */
export function directionsOf(level: CompatibilityLevel): readonly Direction[] {
  if (level === 'NONE') return []
  if (level.startsWith('BACKWARD')) return ['backward']
  return level.startsWith('FORWARD') ? ['forward'] : ['backward', 'forward']
}

/** One place of the newer version, and all the older ones that it breaks. */
interface Break {
  readonly pointer: string
  readonly explanation: Explanation
  readonly kind: string
  readonly versions: Record<Direction, number[]>
}

function compareVersions(
  newer: EvolvingFile,
  earlier: readonly EvolvingFile[],
  directions: readonly Direction[],
  isElsewhere: (name: string) => boolean,
): Finding[] {
  const breaks = new Map<string, Break>()
  for (const older of earlier) {
    for (const direction of directions) {
      const [reader, writer] = direction === 'backward' ? [newer, older] : [older, newer]
      for (const found of incompatibilities(reader.schema, writer.schema)) addBreak(breaks, found, direction, older.version)
    }
  }
  const tree = readTree(newer.schema)
  return [...breaks.values()].map(({ pointer, explanation, kind, versions }) => {
    const place = writtenPlace(tree, pointer, (name) => name !== newer.name && isElsewhere(name))
    const problem = `${explanation.problem}${place.inside}: ${effects(newer.version, versions)}.`
    return { file: newer.file, pointer: place.pointer, rule: kind, problem, mend: explanation.mend }
  })
}

function addBreak(breaks: Map<string, Break>, found: Incompatibility, direction: Direction, version: number): void {
  const pointer = direction === 'backward' ? found.reader : found.writer
  const explanation = explain(found, direction)
  const key = `${pointer} ${explanation.problem}`
  const known = breaks.get(key) ?? { pointer, explanation, kind: found.kind, versions: { backward: [], forward: [] } }
  known.versions[direction].push(version)
  breaks.set(key, known)
}

function effects(version: number, { backward, forward }: Record<Direction, readonly number[]>): string {
  const many = (versions: readonly number[]): string => `version${versions.length > 1 ? 's' : ''} ${versions.join(', ')}`
  return [
    ...(backward.length === 0 ? [] : [`version ${version} cannot read what ${many(backward)} wrote`]),
    ...(forward.length === 0 ? [] : [`a program built with ${many(forward)} cannot read version ${version}`]),
  ].join(', and ')
}

export interface Explanation {
  readonly problem: string
  readonly mend: string
}

/** Says what is different from the newer version's point of view, and what its author can do. */
export function explain(found: Incompatibility, direction: Direction): Explanation {
  const isBackward = direction === 'backward'
  const subject = found.subject === '' ? 'it' : `"${found.subject}"`
  const [is, was] = isBackward ? [found.readerHas, found.writerHas] : [found.writerHas, found.readerHas]
  switch (found.kind) {
    case 'READER_FIELD_MISSING_DEFAULT_VALUE':
      return isBackward
        ? { problem: `${subject} is new and has no default`, mend: `Give it one: "type": ["null", …], "default": null.` }
        : { problem: `${subject} is gone, and older versions have no default for it`, mend: 'Keep the field.' }
    case 'MISSING_ENUM_SYMBOLS':
      return isBackward
        ? { problem: `the symbols ${was} of ${subject} are gone, and it has no default`, mend: 'Keep them, or give the enum a "default".' }
        : {
            problem: `the symbols ${is} of ${subject} are new, and the enum had no default`,
            mend: 'Keep the symbols, and add a field with an enum of another name that has a "default".',
          }
    case 'MISSING_UNION_BRANCH': {
      const problem = isBackward ? `the branch ${was} of ${subject} is gone` : `the branch ${is} of ${subject} is new`
      return { problem, mend: 'Keep the branches, and add a field for what is new.' }
    }
    case 'LOGICAL_TYPE_MISMATCH':
      return {
        problem: `${subject} is ${is} and was ${was}; the bytes are the same, and each value means something else`,
        mend: `Keep ${was}, and add a field with a default for what is new.`,
      }
    case 'NAME_MISMATCH':
      return { problem: `the type of ${subject} is called ${is} and was called ${was}`, mend: `Call it ${was} again.` }
    case 'FIXED_SIZE_MISMATCH':
    case 'TYPE_MISMATCH':
      return { problem: `${subject} is ${is} and was ${was}`, mend: `Keep ${was}, and add a field with a default for what is new.` }
  }
}

function refuseUnknownOverrides(names: readonly string[], known: readonly string[]): void {
  const unknown = names.find((name) => !known.includes(name))
  if (unknown === undefined) return
  const near = nearest(unknown, known)
  throw new ConfigurationError(
    'OPTION_INVALID',
    `"schema.overrides" of trunkline.config.ts is for "${unknown}", which no schema file defines${near === undefined ? '' : ` (did you mean "${near}"?)`}. Correct or remove it.`,
    { name: unknown },
  )
}

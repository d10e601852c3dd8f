import type { SchemaTree } from './schema-tree.ts'

/** Something that a judge of schema files objects to. */
export interface Finding {
  /** Relative to the folder of schemas. */
  readonly file: string
  /** JSON pointer into that file. */
  readonly pointer: string
  /** One word for each cause, to search for: `ENUM_DEFAULT_MISSING`, `TYPE_MISMATCH`. */
  readonly rule: string
  /** What is so, and whom it hurts. */
  readonly problem: string
  readonly mend: string
}

/** A place in a file as it is written: a reference to another file ends the pointer, and the rest is said in words. */
export interface WrittenPlace {
  readonly pointer: string
  /** ` (in shop.common.Money#/fields/0/type)`; empty where the pointer says it all. */
  readonly inside: string
}

/**
 * Turns a pointer through references, as if everything stood in one file, into a place that a person can go to.
 *
 * @param isElsewhere whether a type of that name has a file of its own
 */
export function writtenPlace(root: SchemaTree, pointer: string, isElsewhere: (name: string) => boolean): WrittenPlace {
  const steps = pointer.split('/').slice(1)
  let at: SchemaTree | undefined = root
  for (let index = 0; index < steps.length && at !== undefined; ) {
    const width: number = steps[index] === 'fields' ? 3 : 1
    at = inner(at, steps.slice(index, index + width))
    index += width
    const rest = steps.slice(index)
    if (at === undefined || rest.length === 0 || !('name' in at) || !isElsewhere(at.name)) continue
    return { pointer: `/${steps.slice(0, index).join('/')}`, inside: ` (in ${at.name}#/${rest.join('/')})` }
  }
  return { pointer, inside: '' }
}

/** What one step leads to: `items`, `values`, the number of a branch, or the type of a field. */
function inner(tree: SchemaTree, [step = '', number, attribute]: readonly string[]): SchemaTree | undefined {
  if (tree.kind === 'array' && step === 'items') return tree.items
  if (tree.kind === 'map' && step === 'values') return tree.values
  if (tree.kind === 'record' && attribute === 'type') return tree.fields[Number(number)]?.type
  return tree.kind === 'union' ? tree.branches[Number(step)] : undefined
}

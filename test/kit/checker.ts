/**
 * Judges a run by what was committed, what is in the log and which effects exist.
 *
 * It imports nothing of the product, decodes by itself and asks the database in plain SQL: an error of the product
 * cannot hide itself here.
 */

/** One message of a run: the `version`th of its key. */
export interface Counted {
  readonly key: string
  readonly version: number
}

export interface LoggedMessage extends Counted {
  readonly partition: number
  readonly offset: bigint
  /** The envelope's id: the same message sent twice has it twice. */
  readonly id: string
}

export interface AppliedEffect extends Counted {
  /** Grows in the order in which effects were made. */
  readonly at: bigint
}

/** A message of a committed transaction, and the operation that committed it. */
export interface CommittedMessage extends Counted {
  readonly operation: string
}

/** What a publisher was told about one of its transactions. */
export interface Operation {
  readonly operation: string
  readonly outcome: 'ok' | 'failed' | 'unknown'
}

export interface History {
  /** What stands in the publisher's own table, written by the same transactions that published. */
  readonly committed: readonly CommittedMessage[]
  readonly operations: readonly Operation[]
  readonly log: readonly LoggedMessage[]
  readonly effects: readonly AppliedEffect[]
  /** What the consumer kept instead of applying it. */
  readonly kept: readonly Counted[]
}

export interface Verdict {
  /** Each line says what is wrong; none means that every promise held. */
  readonly violations: readonly string[]
  readonly counts: {
    readonly committed: number
    readonly ok: number
    readonly failed: number
    readonly unknown: number
    readonly logged: number
    /** Messages sent again; allowed, and told. */
    readonly sentAgain: number
    readonly effects: number
    readonly kept: number
  }
}

export function judge(history: History): Verdict {
  const committed = new Set(history.committed.map(nameOf))
  const logged = new Set(history.log.map(nameOf))
  const applied = new Set(history.effects.map(nameOf))
  const kept = new Set(history.kept.map(nameOf))
  const violations = [
    ...missing(committed, logged, 'lost: committed and not in the log'),
    ...missing(logged, committed, 'invented: in the log and not committed'),
    ...missing(committed, new Set([...applied, ...kept]), 'lost: committed and neither applied nor kept'),
    ...missing(applied, committed, 'invented: applied and not committed'),
    ...repeated(history.effects.map(nameOf), 'applied more than once'),
    ...repeated(history.kept.map(nameOf), 'kept more than once'),
    ...[...kept].filter((name) => applied.has(name)).map((name) => `both applied and kept: ${name}`),
    ...inversions(firstOccurrences(history.log), 'overtaken in the log'),
    ...inversions(
      history.effects.toSorted((a, b) => compare(a.at, b.at)),
      'overtaken among the effects',
    ),
    ...partitionsChanged(history.log),
    ...misstated(history.operations, new Set(history.committed.map(({ operation }) => operation))),
  ]
  const told = (outcome: Operation['outcome']): number => history.operations.filter((operation) => operation.outcome === outcome).length
  return {
    violations,
    counts: {
      committed: committed.size,
      ok: told('ok'),
      failed: told('failed'),
      unknown: told('unknown'),
      logged: logged.size,
      sentAgain: history.log.length - new Set(history.log.map((message) => message.id)).size,
      effects: history.effects.length,
      kept: history.kept.length,
    },
  }
}

function nameOf({ key, version }: Counted): string {
  return `${key}#${version}`
}

function missing(wanted: ReadonlySet<string>, found: ReadonlySet<string>, what: string): string[] {
  return [...wanted].filter((name) => !found.has(name)).map((name) => `${what}: ${name}`)
}

function repeated(names: readonly string[], what: string): string[] {
  const seen = new Set<string>()
  const twice = new Set<string>()
  for (const name of names) {
    if (seen.has(name)) twice.add(name)
    seen.add(name)
  }
  return [...twice].map((name) => `${what}: ${name}`)
}

/** The log's messages without repetitions, in the order in which each partition got them. */
function firstOccurrences(log: readonly LoggedMessage[]): LoggedMessage[] {
  const seen = new Set<string>()
  const inOrder = log.toSorted((a, b) => a.partition - b.partition || compare(a.offset, b.offset))
  return inOrder.filter((message) => !seen.has(nameOf(message)) && seen.add(nameOf(message)))
}

function inversions(inOrder: readonly Counted[], what: string): string[] {
  const last = new Map<string, number>()
  const found: string[] = []
  for (const { key, version } of inOrder) {
    const before = last.get(key) ?? 0
    if (version < before) found.push(`${what}: ${key}#${version} came after ${key}#${before}`)
    last.set(key, Math.max(before, version))
  }
  return found
}

/** A key that moves to another partition can be overtaken by itself. */
function partitionsChanged(log: readonly LoggedMessage[]): string[] {
  const partitions = new Map<string, number>()
  const found = new Set<string>()
  for (const { key, partition } of log) {
    if ((partitions.get(key) ?? partition) !== partition) found.add(`in more than one partition: key ${key}`)
    partitions.set(key, partition)
  }
  return [...found]
}

function misstated(operations: readonly Operation[], committed: ReadonlySet<string>): string[] {
  return operations.flatMap(({ operation, outcome }) => {
    if (outcome === 'ok' && !committed.has(operation)) return [`told "ok" and not committed: ${operation}`]
    if (outcome === 'failed' && committed.has(operation)) return [`told "failed" and committed: ${operation}`]
    return []
  })
}

function compare(a: bigint, b: bigint): number {
  if (a < b) return -1
  return a > b ? 1 : 0
}

/** Reads `{key: string, version: long, …}` in Avro's single-object encoding. @returns `undefined` for anything else */
export function readCounted(value: Buffer | null): Counted | undefined {
  if (value === null || value.length < 12 || value[0] !== 0xc3 || value[1] !== 0x01) return undefined
  const length = readLong(value, 10)
  const end = length.next + length.value
  if (length.value < 0 || end > value.length) return undefined
  return { key: value.toString('utf8', length.next, end), version: readLong(value, end).value }
}

/** Avro's long: seven bits a byte, lowest first, then zigzag. */
function readLong(bytes: Buffer, at: number): { readonly value: number; readonly next: number } {
  let raw = 0n
  let next = at
  for (let shift = 0n; next < bytes.length; shift += 7n) {
    const byte = bytes[next++] ?? 0
    raw |= BigInt(byte & 0x7f) << shift
    if (byte < 0x80) break
  }
  return { value: Number((raw >> 1n) ^ -(raw & 1n)), next }
}

import { AssertionError } from 'node:assert'
import { inspect } from 'node:util'
import type { AnyContract } from '../../core/contract/contract.ts'

const SHOWN_MAX = 20

/** What a failed expectation tells beside its numbers. */
export interface Told {
  /** The types of everything that was published, with how often. */
  readonly types: ReadonlyMap<string, number>
  /** What became of deliveries that failed, in words. */
  readonly failures: readonly string[]
}

/** What was published of one contract, and what a test expects of it. */
export class Published<C extends AnyContract> {
  readonly #contract: C
  readonly #all: readonly C['message'][]
  readonly #found: readonly C['message'][]
  readonly #told: Told

  constructor(contract: C, all: readonly C['message'][], told: Told, found = all) {
    this.#contract = contract
    this.#all = all
    this.#told = told
    this.#found = found
  }

  /** The messages themselves, in the order of their topic's partitions. */
  get messages(): readonly C['message'][] {
    return this.#found
  }

  /** Only those that fit. */
  with(fits: (message: C['message']) => boolean): Published<C> {
    return new Published(this.#contract, this.#all, this.#told, this.#found.filter(fits))
  }

  /** Expects exactly one. @returns it @throws AssertionError says what was published */
  once(): C['message'] {
    const [message] = this.#found
    if (message === undefined || this.#found.length > 1) throw this.#unexpected(1)
    return message
  }

  /** Expects exactly so many. @returns them @throws AssertionError says what was published */
  times(count: number): readonly C['message'][] {
    if (this.#found.length === count) return this.#found
    throw this.#unexpected(count)
  }

  /** Expects none. @throws AssertionError says what was published */
  none(): void {
    this.times(0)
  }

  #unexpected(count: number): AssertionError {
    return new AssertionError({ message: this.#describe(count), actual: this.#found.length, expected: count, operator: 'published' })
  }

  #describe(count: number): string {
    const { name } = this.#contract.definition
    const narrowed = this.#found.length < this.#all.length ? ` that fit (of ${this.#all.length})` : ''
    const shown = this.#all.slice(0, SHOWN_MAX).map((message) => `  ${this.#found.includes(message) ? '*' : ' '} ${lineOf(message)}`)
    const more = this.#all.length > SHOWN_MAX ? [`    … and ${this.#all.length - SHOWN_MAX} more`] : []
    const types = [...this.#told.types].map(([type, times]) => `    ${times} × ${type}`)
    return [
      `Expected ${count} × ${name}${narrowed === '' ? '' : ' that fit'}, found ${this.#found.length}${narrowed}.`,
      ...(this.#all.length === 0 ? [] : [`Published as ${name}:`, ...shown, ...more]),
      types.length === 0 ? 'Nothing has reached a topic. Is "await t.quiet()" before it?' : 'In all topics:',
      ...types,
      ...(this.#told.failures.length === 0 ? [] : ['Failed deliveries:', ...this.#told.failures.map((line) => `    ${line}`)]),
    ].join('\n')
  }
}

function lineOf(message: { readonly key: string | null; readonly data: unknown }): string {
  return inspect(message.data, { depth: 4, breakLength: Number.POSITIVE_INFINITY, maxStringLength: 200, maxArrayLength: 10 })
}

/** Why a server cannot run on this machine: an answer, not a failure, because the stack then takes the next choice. */
export interface Missing {
  readonly missing: true
  /** What is not there: `no Java 17 or newer`. */
  readonly what: string
  /** How to get it, as something a person can type or set. */
  readonly remedy: string
}

export function missing(what: string, remedy: string): Missing {
  return { missing: true, what, remedy }
}

export function isMissing(value: object): value is Missing {
  return 'missing' in value
}

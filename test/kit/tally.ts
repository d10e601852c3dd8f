/** Faults by name, with how many were planned and how many fired. */
export type Faults = Record<string, { planned: number; fired: number }>

/** Counts planned faults, and those that fired: a run in which one did not proves nothing. */
export class Tally {
  readonly all: Faults = {}

  note(name: string, fired: boolean): void {
    const { planned, fired: before } = this.all[name] ?? { planned: 0, fired: 0 }
    this.all[name] = { planned: planned + 1, fired: before + (fired ? 1 : 0) }
  }
}

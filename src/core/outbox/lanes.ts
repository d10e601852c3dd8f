import { endsWithin } from '../../foundation/service.ts'
import type { Deferral } from './deferral.ts'
import type { HeldKeys } from './held-keys.ts'
import type { InFlight } from './in-flight.ts'
import { lowest } from './lowest.ts'
import type { PendingRow, Section } from './outbox-store.ts'
import { type LaneEvents, type LaneOptions, type LaneParts, RelayLane } from './relay-lane.ts'
import type { Route, TopicRoutes } from './topic-routes.ts'

export interface LanesParts extends LaneParts {
  readonly routes: TopicRoutes
  readonly held: HeldKeys
  readonly inFlight: InFlight
}

/** What was left in the table and can be read now. */
export interface CatchUp {
  readonly only: readonly Section[]
  readonly without: readonly Section[]
  /** Where the lowest of it begins. */
  readonly from: bigint
  /** It was not read after all: it waits as before. */
  readonly giveUp: () => void
  /** It was read, and its rows were handed out; what is above this number waits on, where there may be such. */
  readonly done: (readTo: bigint | undefined) => void
}

/** A topic or a lane that is being caught up with, and where that began. */
interface Reading {
  readonly section: Section
  readonly deferral: Deferral
  readonly from: bigint
}

/** The lanes of a term, one per partition that has had a message, and what each topic and lane has left in the table. */
export class Lanes {
  readonly #parts: LanesParts
  readonly #options: LaneOptions
  readonly #events: LaneEvents
  readonly #lanes = new Map<Route, Map<number, RelayLane>>()
  #reading: readonly Reading[] = []

  constructor(parts: LanesParts, options: LaneOptions, events: LaneEvents) {
    this.#parts = parts
    this.#options = options
    this.#events = events
  }

  /**
   * Hands rows to their lanes: they are in flight from now on.
   *
   * @returns how many were taken; the others are released and stay in the table, and it is remembered where
   */
  take(rows: readonly PendingRow[]): number {
    const { held, inFlight } = this.#parts
    let taken = 0
    for (const row of rows) {
      if (held.has(row) || !this.#offer(row)) {
        row.release()
        continue
      }
      inFlight.add(row)
      taken++
    }
    return taken
  }

  #offer(row: PendingRow): boolean {
    const route = this.#parts.routes.of(row.topic)
    if (route.partitions !== undefined && route.deferral.from === undefined) {
      return this.#laneOf(route, row.keyHash % route.partitions, route.partitions).offer(row)
    }
    route.deferral.leave(row.seq)
    return false
  }

  /**
   * For a pass that begins above `mark`: which topics and lanes take nothing.
   *
   * Their rows of that pass count as left, although nobody looks at them: also those below the ones that were left
   * before, which were not decided then and may be now. The mark may move beyond them with this pass.
   */
  closed(mark: bigint): Section[] {
    const found: Section[] = []
    for (const route of this.#parts.routes.all()) {
      if (route.partitions !== undefined && route.deferral.from === undefined) continue
      route.deferral.leave(mark + 1n)
      found.push(wholeOf(route))
    }
    for (const lane of this.#all()) {
      if (lane.open && lane.deferral.from === undefined) continue
      lane.deferral.leave(mark + 1n)
      found.push(lane)
    }
    return found
  }

  /** What has left rows in the table. */
  behind(): Section[] {
    const left = [...this.#places()].filter(({ deferral }) => deferral.from !== undefined)
    return [...left, ...this.#reading].map(({ section }) => section)
  }

  /** @returns `undefined` when nothing was left, or nothing of it can be taken now */
  catchUp(): CatchUp | undefined {
    const left = [...this.#places()].filter(({ deferral }) => deferral.from !== undefined)
    const ready = left.filter(({ ready }) => ready)
    const busy = left.filter(({ ready }) => !ready)
    const reading = ready.map(({ section, deferral }) => ({ section, deferral, from: deferral.take() ?? 0n }))
    if (reading.length === 0) return undefined
    handOver(reading, busy)
    this.#reading = reading
    return {
      only: reading.map(({ section }) => section),
      without: busy.map(({ section }) => section),
      from: lowest(reading.map(({ from }) => from)) ?? 0n,
      giveUp: () => {
        this.#reading = []
        for (const { deferral, from } of reading) deferral.leave(from)
      },
      done: (readTo) => {
        this.#reading = []
        if (readTo === undefined) return
        for (const { deferral, from } of reading) deferral.leave(from > readTo ? from : readTo + 1n)
      },
    }
  }

  /** The rows of a lane, or of its topic where that must wait, are to be read from this number on. */
  readAgain(topic: string, keyHash: number, from: bigint): void {
    const route = this.#parts.routes.of(topic)
    if (route.partitions === undefined) route.deferral.leave(from)
    else this.#laneOf(route, keyHash % route.partitions, route.partitions).deferral.leave(from)
  }

  /** No row that was left in the table is below it. */
  get lowestLeft(): bigint | undefined {
    const left = [...this.#places()].map(({ deferral }) => deferral.from)
    return lowest([...left, ...this.#reading.map(({ from }) => from)])
  }

  /** Sends no new batch and waits for those on their way. */
  async stop(deadlineMs: number): Promise<void> {
    await endsWithin(Promise.all([...this.#all()].map((lane) => lane.stop())), deadlineMs)
  }

  #laneOf(route: Route, partition: number, partitions: number): RelayLane {
    let lanes = this.#lanes.get(route)
    if (lanes === undefined) {
      lanes = new Map()
      this.#lanes.set(route, lanes)
    }
    let lane = lanes.get(partition)
    if (lane === undefined) {
      lane = new RelayLane({ topic: route.topic, partition, partitions }, this.#parts, this.#options, this.#events)
      lanes.set(partition, lane)
    }
    return lane
  }

  *#places(): Generator<{ section: Section; deferral: Deferral; ready: boolean }> {
    for (const route of this.#parts.routes.all()) {
      yield { section: wholeOf(route), deferral: route.deferral, ready: route.partitions !== undefined }
    }
    for (const [route, lanes] of this.#lanes) {
      for (const lane of lanes.values())
        yield { section: lane, deferral: lane.deferral, ready: route.partitions !== undefined && lane.hungry }
    }
  }

  *#all(): Generator<RelayLane> {
    for (const lanes of this.#lanes.values()) yield* lanes.values()
  }
}

/** What a topic left may be of a lane that is left out while the topic is read: from then on the lane alone remembers it. */
function handOver(reading: readonly Reading[], busy: readonly Omit<Reading, 'from'>[]): void {
  for (const { section, from } of reading) {
    if (section.partition !== undefined) continue
    for (const lane of busy) if (lane.section.topic === section.topic) lane.deferral.leave(from)
  }
}

function wholeOf({ topic }: Route): Section {
  return { topic, partition: undefined, partitions: 1 }
}

import type { PositionStore } from '../../../src/core/consume/position-store.ts'
import type { Database, Transaction } from '../../../src/core/database/database.ts'

/** Moves the position in a transaction of its own, before the effect: a crash between the two loses the effect. */
export function commitBeforeEffect(real: PositionStore<Transaction>, database: Database<Transaction>): PositionStore<Transaction> {
  return {
    take: (place, start) => real.take(place, start),
    reset: (place, epoch, start) => real.reset(place, epoch, start),
    look: (place) => real.look(place),
    mark: (...mark) => real.mark(...mark),
    unmark: (place, by) => real.unmark(place, by),
    leave: (place, epoch, by) => real.leave(place, epoch, by),
    suspect: (place, epoch, to) => real.suspect(place, epoch, to),
    holds: (tx, place, epoch) => real.holds(tx, place, epoch),
    follow: (place, epoch, from, to) => real.follow(place, epoch, from, to),
    advance: (_tx, place, epoch, from, to) => database.transaction((own) => real.advance(own, place, epoch, from, to)),
  }
}

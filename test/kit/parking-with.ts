import type { ParkingStore } from '../../src/core/consume/parking-store.ts'
import type { Transaction } from '../../src/core/database/database.ts'

/** The real store, but for what is given. */
export function parkingWith(real: ParkingStore<Transaction>, own: Partial<ParkingStore<Transaction>>): ParkingStore<Transaction> {
  return {
    lockParked: (tx, place, keys) => real.lockParked(tx, place, keys),
    park: (tx, messages) => real.park(tx, messages),
    load: (tx, group) => real.load(tx, group),
    registerHandled: (group, names) => real.registerHandled(group, names),
    handledByGroup: (tx, group, names) => real.handledByGroup(tx, group, names),
    ...own,
  }
}

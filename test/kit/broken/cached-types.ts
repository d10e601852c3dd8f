import type { ParkingStore } from '../../../src/core/consume/parking-store.ts'
import type { Transaction } from '../../../src/core/database/database.ts'
import { parkingWith } from '../parking-with.ts'

/** Asks once for each name whether some build of the group handles it, and believes the answer ever after. */
export function cachedTypes(real: ParkingStore<Transaction>): ParkingStore<Transaction> {
  const known = new Map<string, boolean>()
  return parkingWith(real, {
    handledByGroup: async (tx, group, names) => {
      const handled = await real.handledByGroup(
        tx,
        group,
        names.filter((name) => !known.has(`${group} ${name}`)),
      )
      for (const name of names) known.set(`${group} ${name}`, known.get(`${group} ${name}`) ?? handled.has(name))
      return new Set(names.filter((name) => known.get(`${group} ${name}`)))
    },
  })
}

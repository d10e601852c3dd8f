import { z } from 'zod'
import { duration } from '../../foundation/duration.ts'

export const parkingOptions = z.strictObject({
  /** Parked keys that a group runs again side by side in this process, 1–64. Default 2. Each takes a connection. */
  workers: z.int().min(1).max(64).default(2),
  /** Longest pause between two looks at the parked keys, at least '10ms'. Default '500ms'. Bounds how late a retry begins whose key another process parked. */
  idleDelay: duration({ min: '10ms', max: '1m' }).prefault('500ms'),
  /** How long the keys of a process that died wait for another one. Default '30s'. */
  lease: duration({ min: '1s', max: '10m' }).prefault('30s'),
  /** Messages that a group may keep, parked and dead ones, 1–10 000 000. Default 100 000. At the limit its partitions wait, and an incident says so. */
  rowsMax: z.int().min(1).max(10_000_000).default(100_000),
  /** Bytes of keys, values and headers that a group may keep, 1 KiB–1 TiB. Default 1 GiB. */
  bytesMax: z
    .int()
    .min(1_024)
    .max(2 ** 40)
    .default(2 ** 30),
  /** How long a discarded message can be restored. Default '14d'; then it is deleted. */
  discardedFor: duration({ min: '1m', max: '365d' }).prefault('14d'),
})
export type ParkingOptions = z.input<typeof parkingOptions>
export type ParkingSettings = z.output<typeof parkingOptions>

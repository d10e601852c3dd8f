import { z } from 'zod'
import { duration } from '../../foundation/duration.ts'

export const parkingOptions = z.strictObject({
  /** Parked keys that a group runs again side by side in this process, 1–64. Default 2. Each takes a connection. */
  workers: z.int().min(1).max(64).default(2),
  /** Longest pause between two looks at the parked keys, at least '10ms'. Default '500ms'. Bounds how late a retry begins whose key another process parked. */
  idleDelay: duration({ min: '10ms', max: '1m' }).prefault('500ms'),
  /** How long the keys of a process that died wait for another one. Default '30s'. */
  lease: duration({ min: '1s', max: '10m' }).prefault('30s'),
})
export type ParkingOptions = z.input<typeof parkingOptions>
export type ParkingSettings = z.output<typeof parkingOptions>

import { setTimeout as pause } from 'node:timers/promises'
import { type MeasuredData, measuredData } from './outbox-ground.ts'

/** Milliseconds on a clock that all processes of this machine share. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** So many transactions a second, whether the former have ended or not; resolves when all have. */
export async function publishSteadily(
  transact: (data: MeasuredData) => Promise<void>,
  { perSecond, forMs }: { readonly perSecond: number; readonly forMs: number },
  onCommitted: (key: string, atMs: number) => void,
): Promise<void> {
  const began = nowMs()
  const running: Promise<void>[] = []
  for (let sent = 0; nowMs() - began < forMs; ) {
    const due = ((nowMs() - began) / 1_000) * perSecond
    for (; sent < due; sent++) {
      const data = measuredData()
      running.push(transact(data).then(() => onCommitted(data.orderId, nowMs())))
    }
    await pause(1)
  }
  await Promise.all(running)
}

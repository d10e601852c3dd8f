import type { PassResult } from './outbox-store.ts'

/** Up to which number a pass showed everything that it may show. */
export function readTo({ rows, limited }: PassResult, upTo: bigint): bigint {
  return limited ? (rows.at(-1)?.seq ?? 0n) : upTo
}

/** Of a pass that is thrown away. */
export function releaseAll(result: PassResult | undefined): void {
  for (const row of result?.rows ?? []) row.release()
}

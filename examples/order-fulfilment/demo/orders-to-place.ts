import type { Order } from '../orders/place-order.ts'

/** What the shop has before the demo; some of it is not enough. */
export const initialStock = new Map([
  ['apple', 1_000_000],
  ['banana', 1_000_000],
  ['cherry', 40],
  ['damson', 120],
])

/** What the customers have together, in minor units; enough for everybody. */
export const initialBalance = 10_000_000_000

/** The same seed gives the same orders. About a tenth is above the payment limit, and two fruits run out. */
export function ordersToPlace(count: number, seed: number): Order[] {
  const random = mulberry32(seed)
  const skus = [...initialStock.keys()]
  return Array.from({ length: count }, (_, index) => {
    const quantity = 1 + Math.floor(random() * 5)
    const expensive = random() < 0.1
    return {
      orderId: idOf(seed, index),
      sku: skus[Math.floor(random() * skus.length)] ?? 'apple',
      quantity,
      total: expensive ? 60_000 : quantity * 995,
    }
  })
}

function idOf(seed: number, index: number): string {
  const hex = (value: number, length: number): string => value.toString(16).padStart(length, '0')
  return `${hex(seed, 8)}-0000-4000-8000-${hex(index, 12)}`
}

/** Tommy Ettinger's Mulberry32: small, and good enough to vary an example. */
function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

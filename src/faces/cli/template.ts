const schema = `{
  "type": "record",
  "name": "OrderPlaced",
  "namespace": "shop.orders",
  "doc": "A customer placed an order.",
  "trunkline": { "kind": "event", "topic": "orders", "key": "orderId" },
  "fields": [
    { "name": "orderId", "type": "string" },
    { "name": "sku", "type": "string" },
    { "name": "quantity", "type": "int" }
  ]
}
`

const config = `import { defineConfig } from 'trunkline'

export default defineConfig({
  // The Avro files are the contracts; "npx trunkline schema generate" turns them into TypeScript.
  schemas: 'schemas',
  schema: { out: 'src/contracts' },
})
`

const service = `import type { Backbone, Transaction } from 'trunkline'
import { OrderPlaced } from './contracts/orders.ts'

export async function createTables(tx: Transaction): Promise<void> {
  await tx.query('create table if not exists demand (sku text primary key, ordered integer not null)')
}

/** Registers what the service reacts to. What a handler does in its transaction happens once for each message. */
export function service(backbone: Backbone): void {
  backbone.subscribe(OrderPlaced, async (order, { tx }) => {
    await tx.query(
      \`insert into demand (sku, ordered) values ($1, $2)
       on conflict (sku) do update set ordered = demand.ordered + excluded.ordered\`,
      [order.data.sku, order.data.quantity],
    )
  })
}
`

const main = `import { randomUUID } from 'node:crypto'
import { createBackbone, environment } from 'trunkline'
import config from '../trunkline.config.ts'
import { OrderPlaced } from './contracts/orders.ts'
import { createTables, service } from './service.ts'

const backbone = createBackbone({ service: 'shop', logLevel: 'warn', ...config, ...environment() })
service(backbone)
await backbone.transaction(createTables)
await backbone.run()

// The event reaches its topic if and only if this transaction commits.
const applied = backbone.diagnostics.next('delivery.applied')
await backbone.transaction(async (tx) => {
  await backbone.publish(tx, OrderPlaced({ orderId: randomUUID(), sku: 'apple', quantity: 3 }))
})
console.log('Published OrderPlaced with the transaction.')

const { topic, partition, offset } = await applied
const { rows } = await backbone.transaction((tx) => tx.query("select ordered from demand where sku = 'apple'"))
console.log(\`Applied it from \${topic}/\${partition} at offset \${offset}: \${rows[0]?.ordered} apples ordered so far.\`)

// A service runs until it gets SIGTERM or Ctrl-C: take this line away, and it does.
await backbone.stop()
`

/** What `trunkline init` writes: path and text. */
export const templateFiles: readonly (readonly [path: string, text: string])[] = [
  ['schemas/orders/OrderPlaced.v1.avsc', schema],
  ['trunkline.config.ts', config],
  ['src/service.ts', service],
  ['src/main.ts', main],
]

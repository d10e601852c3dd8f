import type { Transaction } from 'trunkline'

/** What the service keeps; safe to run at every start. */
export async function createTables(tx: Transaction): Promise<void> {
  await tx.query(`
    create table if not exists orders (
      id        uuid primary key,
      sku       text not null,
      quantity  integer not null check (quantity > 0),
      total     bigint not null check (total >= 0),
      status    text not null default 'placed' check (status in ('placed', 'confirmed'))
    )`)
}

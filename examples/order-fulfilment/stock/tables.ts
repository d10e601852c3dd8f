import type { Transaction } from 'trunkline'

/** What the service keeps; safe to run at every start. */
export async function createTables(tx: Transaction): Promise<void> {
  await tx.query(`
    create table if not exists stock (
      sku       text primary key,
      available integer not null check (available >= 0)
    )`)
  await tx.query(`
    create table if not exists reservation (
      order_id uuid primary key,
      sku      text not null references stock,
      quantity integer not null check (quantity > 0)
    )`)
  await tx.query(`
    create table if not exists demand (
      sku     text primary key,
      ordered integer not null default 0
    )`)
}

import type { Transaction } from 'trunkline'

/** What the service keeps; safe to run at every start. Amounts are in minor units. */
export async function createTables(tx: Transaction): Promise<void> {
  await tx.query(`
    create table if not exists account (
      name    text primary key,
      balance bigint not null check (balance >= 0)
    )`)
  await tx.query(`
    create table if not exists payment (
      order_id uuid primary key,
      amount   bigint not null check (amount >= 0)
    )`)
}

import { packHeaders } from '../../core/broker/header-bytes.ts'
import type { KeyReference, ParkedMessage, ParkingStore } from '../../core/consume/parking-store.ts'
import type { Database } from '../../core/database/database.ts'
import { ConflictError } from '../../foundation/errors.ts'
import { storableText } from './storable-text.ts'

/** A worker can take the key away between the insert and the lock; more often than this it is not a race. */
const ATTEMPTS_MAX = 20

export class PostgresParkingStore<Tx> implements ParkingStore<Tx> {
  readonly #database: Database<Tx>

  constructor(database: Database<Tx>) {
    this.#database = database
  }

  async lockParked(tx: Tx, key: KeyReference): Promise<boolean> {
    const { rowCount } = await this.#database.queryable(tx).query(lockSql, [key.group, key.topic, key.key])
    return rowCount > 0
  }

  async park(tx: Tx, message: ParkedMessage): Promise<void> {
    if (message.key !== null) await this.#parkKey(tx, message.key)
    const { place, record } = message
    await this.#database
      .queryable(tx)
      .query(parkSql, [
        message.group,
        message.inboxId,
        message.key?.topic ?? null,
        message.key?.key ?? null,
        message.state,
        message.attempts,
        storableText(message.reasonCode),
        storableText(message.reason),
        place.topic,
        place.partition,
        record.offset,
        record.key,
        record.value,
        packHeaders(record.headers),
        storableMs(record.timestampMs),
      ])
  }

  async #parkKey(tx: Tx, key: KeyReference): Promise<void> {
    const values = [key.group, key.topic, key.key]
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      await this.#database.queryable(tx).query(parkKeySql, values)
      if (await this.lockParked(tx, key)) return
    }
    throw new ConflictError('KEY_UNPARKED', 'A key was unparked again and again while a message was queued behind it. Run it again.')
  }

  async registerHandled(group: string, names: readonly string[]): Promise<void> {
    await this.#database.outside.query(registerSql, [group, names])
  }

  async handledByGroup(tx: Tx, group: string, name: string): Promise<boolean> {
    const { rowCount } = await this.#database.queryable(tx).query(handledSql, [group, name])
    return rowCount > 0
  }
}

/** Any 64 bits can stand in a record; beyond 2^53 a number is not exact anyhow. */
function storableMs(ms: number): bigint {
  const { MIN_SAFE_INTEGER: min, MAX_SAFE_INTEGER: max } = Number
  return BigInt(Math.trunc(Math.min(max, Math.max(min, ms))) || 0)
}

// Key share: appends go side by side, and nobody can delete the key row until they are committed.
const lockSql = `
  select 1 from trunkline.parked_key
   where consumer_group = $1 and topic = $2 and key_hash = sha256($3)
     for key share`

const parkKeySql = `
  insert into trunkline.parked_key (consumer_group, topic, key_hash, key) values ($1, $2, sha256($3), $3)
  on conflict do nothing`

const parkSql = `
  insert into trunkline.parked_message (
    consumer_group, id, key_topic, key_hash, state, attempts, reason_code, reason,
    topic, partition, record_offset, record_key, record_value, record_headers, record_timestamp_ms)
  values ($1, $2, $3, sha256($4), $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`

const registerSql = `
  insert into trunkline.group_handles (consumer_group, name)
  select $1, name from unnest($2::text[]) as handled (name)
  on conflict do nothing`

const handledSql = `
  select 1 from trunkline.group_handles where consumer_group = $1 and name = $2`

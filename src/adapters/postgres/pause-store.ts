import type { PauseAct, PauseStore } from '../../core/consume/pause-store.ts'
import type { Database } from '../../core/database/database.ts'
import { storableText } from './storable-text.ts'

export class PostgresPauseStore<Tx> implements PauseStore<Tx> {
  readonly #database: Pick<Database<Tx>, 'queryable'>

  constructor(database: Pick<Database<Tx>, 'queryable'>) {
    this.#database = database
  }

  async pause(tx: Tx, group: string, { actor, reason }: PauseAct): Promise<boolean> {
    const { rowCount } = await this.#database.queryable(tx).query(pauseSql, [group, storableText(actor), storableText(reason)])
    return rowCount === 1
  }

  async resume(tx: Tx, group: string): Promise<boolean> {
    const { rowCount } = await this.#database.queryable(tx).query('delete from trunkline.group_pause where consumer_group = $1', [group])
    return rowCount === 1
  }
}

const pauseSql = `
  insert into trunkline.group_pause (consumer_group, paused_by, reason) values ($1, $2, $3) on conflict (consumer_group) do nothing`

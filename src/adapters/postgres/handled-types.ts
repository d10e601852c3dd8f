import type { HandledType, HandledTypes } from '../../core/consume/handled-types.ts'
import type { Database } from '../../core/database/database.ts'

export class PostgresHandledTypes<Tx> implements HandledTypes<Tx> {
  readonly #database: Pick<Database<Tx>, 'queryable' | 'outside'>

  constructor(database: Pick<Database<Tx>, 'queryable' | 'outside'>) {
    this.#database = database
  }

  async list(group: string): Promise<readonly HandledType[]> {
    const { rows } = await this.#database.outside.query(listSql, [group])
    return rows.map((row) => ({ name: String(row['name']), processes: Number(row['processes']), waiting: Number(row['waiting']) }))
  }

  async forget(tx: Tx, group: string, name: string): Promise<boolean> {
    return (await this.#database.queryable(tx).query(forgetSql, [group, name])).rowCount === 1
  }
}

const listSql = `
  select h.name,
         (select count(*) from trunkline.process p
           where p.expires_at > trunkline.now() and jsonb_exists(p.handles -> h.consumer_group, h.name)) as processes,
         (select count(*) from trunkline.parked_message m
           where m.consumer_group = h.consumer_group and m.name = h.name and m.state = 'waiting' and m.reason_code = 'HANDLER_ELSEWHERE') as waiting
    from trunkline.group_handles h
   where h.consumer_group = $1
   order by h.name`

const forgetSql = `
  delete from trunkline.group_handles
   where consumer_group = $1 and name = $2
     and not exists (select from trunkline.process p
                      where p.expires_at > trunkline.now() and jsonb_exists(p.handles -> $1, $2))`
